//! Runs `snowgate_fuzz::wire_reply` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snowgate_fuzz::wire_reply(data));
