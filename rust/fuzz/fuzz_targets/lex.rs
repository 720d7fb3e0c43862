//! Runs `snowgate_fuzz::lex` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snowgate_fuzz::lex(data));
