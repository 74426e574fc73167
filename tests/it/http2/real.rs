//! Real programs: curl, h2load and nghttp before, nginx behind.

use std::fs;

use crate::support::real::{self, Part};

use super::{h2_to_h2, h2c};

#[test]
fn curl_h2load_and_nghttp_get_what_nginx_serves() {
    let Some(nginx) = real::nginx("location = /small { return 200 small; }") else {
        return;
    };
    let large: Vec<u8> = (0..3_000_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    fs::write(nginx.root().join("large"), &large).unwrap();
    let direct = h2c(nginx.addr(), "");
    let relayed = h2_to_h2(direct.addr(), "");
    for lb in [&direct, &relayed] {
        let url = format!("http://{}", lb.addr());
        let small = format!("{url}/small");
        if let Some(curl) = real::tool(Part::Curl) {
            let prior = "--http2-prior-knowledge";
            let said = curl.run(["-sSf", prior, "-w", " %{http_version}", &small]);
            assert_eq!(said.stdout, "small 2", "{}", said.stderr);
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("large");
            let path = file.display().to_string();
            let said = curl.run(["-sSf", prior, "-o", &path, &format!("{url}/large")]);
            assert!(said.status.success(), "{}", said.stderr);
            assert!(fs::read(&file).unwrap() == large, "another file");
        }
        if let Some(h2load) = real::tool(Part::H2load) {
            let said = h2load.run(["-n3000", "-c10", "-m20", &small]).stdout;
            assert!(
                said.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"),
                "{said}"
            );
            assert!(said.contains("3000 2xx"), "{said}");
        }
        if let Some(nghttp) = real::tool(Part::Nghttp) {
            let said = nghttp.run(["-nv", "-m5", &small]);
            assert!(said.status.success(), "{}", said.stderr);
            assert_eq!(
                said.stdout.matches(":status: 200").count(),
                5,
                "{}",
                said.stdout
            );
        }
    }
}
