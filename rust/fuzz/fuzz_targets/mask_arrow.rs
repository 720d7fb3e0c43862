//! Runs `snowgate_fuzz::mask_arrow` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snowgate_fuzz::mask_arrow(data));
