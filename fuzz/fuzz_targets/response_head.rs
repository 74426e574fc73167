#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rlb::internal::http::response_head(data));
