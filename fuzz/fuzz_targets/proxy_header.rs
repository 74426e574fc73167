#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rlb::internal::proxy_header::header(data));
