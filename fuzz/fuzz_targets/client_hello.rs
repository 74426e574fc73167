#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rlb::internal::tls::client_hello(data));
