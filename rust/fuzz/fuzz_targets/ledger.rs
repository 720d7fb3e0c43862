//! Runs `snowgate_fuzz::ledger` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| snowgate_fuzz::ledger(data));
