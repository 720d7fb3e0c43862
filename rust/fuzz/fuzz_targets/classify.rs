//! Runs `snowgate_fuzz::classify` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snowgate_fuzz::classify(data));
