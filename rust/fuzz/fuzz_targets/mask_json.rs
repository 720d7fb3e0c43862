//! Runs `snowgate_fuzz::mask_json` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snowgate_fuzz::mask_json(data));
