//! openssl and curl as clients.

use super::{s_client, showing};
use crate::support::authority::{Authority, Kind};
use crate::support::real::{self, Part};
use crate::support::{Lb, Origin};

#[test]
fn openssl_sees_versions_suites_and_no_renegotiation() {
    let ca = Authority::new("ca");
    let file = ca.put("a.pem", &ca.issue(&["a.test"], Kind::Ecdsa));
    let (lb, _origin) = showing(&[&file], "");
    let Some(openssl) = real::tool(Part::Openssl) else {
        return;
    };
    let root = ca.file().display().to_string();
    let ask = |more: &[&str]| {
        let more = [&["-CAfile", &root], more].concat();
        openssl.run(s_client(lb.addr(), "a.test", &more))
    };
    let modern = ask(&["-tls1_3"]);
    assert!(
        modern.stdout.contains("Verify return code: 0 (ok)"),
        "{}",
        modern.stdout
    );
    assert!(modern.stdout.contains("TLSv1.3"), "{}", modern.stdout);
    let old = ask(&["-tls1_2"]);
    assert!(
        old.stdout.contains("Verify return code: 0 (ok)"),
        "{}",
        old.stdout
    );
    // RFC 5746 is spoken, and nothing is compressed (RFC 7525 3.3).
    assert!(
        old.stdout.contains("Secure Renegotiation IS supported"),
        "{}",
        old.stdout
    );
    assert!(old.stdout.contains("Compression: NONE"), "{}", old.stdout);
    for refused in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AECDH-AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"],
    ] {
        let said = ask(refused);
        let whole = said.stdout + &said.stderr;
        assert!(
            whole.contains("Cipher is (NONE)") || whole.contains("no cipher match"),
            "{refused:?}: {whole}"
        );
    }
}

#[test]
fn openssl_renegotiates_in_vain() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, origin) = showing(&[&file], "");
    let Some(openssl) = real::tool(Part::Openssl) else {
        return;
    };
    // `R` on a line of its own asks for a renegotiation (s_client(1)).
    let args = s_client(lb.addr(), "a.test", &["-tls1_2"]);
    let said = openssl.run_with_stdin(args, "R\n");
    let whole = said.stdout + &said.stderr;
    assert!(whole.contains("RENEGOTIATING"), "{whole}");
    assert!(
        whole.contains("no renegotiation") || whole.contains("error:"),
        "{whole}"
    );
    assert_eq!(origin.connections(), 0);
}

#[test]
fn openssl_resumes() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, _origin) = showing(&[&file], "");
    let Some(openssl) = real::tool(Part::Openssl) else {
        return;
    };
    let session = ca.dir().join("session").display().to_string();
    for (option, expected) in [
        ("-sess_out", "New, TLSv1.2"),
        ("-sess_in", "Reused, TLSv1.2"),
    ] {
        let more = ["-tls1_2", option, &session];
        let said = openssl.run(s_client(lb.addr(), "a.test", &more));
        assert!(said.stdout.contains(expected), "{}", said.stdout);
    }
}

#[test]
fn curl_speaks_with_and_without_a_certificate() {
    let (ca, clients) = (Authority::new("ca"), Authority::new("clients"));
    let file = ca.write("a.pem", &["a.test"]);
    let me = clients.write("me.pem", &["alice"]).display().to_string();
    let more = format!(
        ", client_auth = \"required\", ca_file = {:?}",
        clients.file()
    );
    let (lb, origin): (_, Origin) = showing(&[&file], &more);
    let Some(curl) = real::tool(Part::Curl) else {
        return;
    };
    let (addr, root) = (lb.addr(), ca.file().display().to_string());
    let resolve = format!("a.test:{}:127.0.0.1", addr.port());
    let url = format!("https://a.test:{}/one", addr.port());
    let common = [
        "-sS",
        "--max-time",
        "10",
        "--cacert",
        &root,
        "--resolve",
        &resolve,
    ];
    let with = [&common[..], &["--cert", &me, &url, &url]].concat();
    let said = curl.run(&with);
    assert!(said.status.success(), "{}", said.stderr);
    assert_eq!(said.stdout, "okok");
    let request = &origin.requests()[0].head;
    assert_eq!(request.field("x-ssl-client-cn"), Some("alice"));
    let without = curl.run([&common[..], &[&url]].concat());
    assert!(!without.status.success());
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn curl_and_h2load_agree_on_http2() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, origin) = showing(&[&file], "");
    let Some(curl) = real::tool(Part::Curl) else {
        return;
    };
    let (addr, root) = (lb.addr(), ca.file().display().to_string());
    let resolve = format!("a.test:{}:127.0.0.1", addr.port());
    let url = format!("https://a.test:{}/one", addr.port());
    for (version, seen) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        let print = ["-w", "%{http_version} %{http_code}", "-o", "/dev/null"];
        let common = [
            "-sS",
            "--max-time",
            "10",
            "--cacert",
            &root,
            "--resolve",
            &resolve,
        ];
        let said = curl.run([&common[..], &print, &[version, &url]].concat());
        assert_eq!(said.stdout, seen, "{}", said.stderr);
    }
    let requests = origin.requests();
    assert_eq!(requests[0].head.field("x-forwarded-proto"), Some("https"));
    let Some(h2load) = real::tool(Part::H2load) else {
        return;
    };
    let url = format!("https://127.0.0.1:{}/", addr.port());
    let said = h2load.run(["-n", "2000", "-c", "10", "-m", "10", &url]);
    assert!(said.stdout.contains("2000 succeeded"), "{}", said.stdout);
    assert!(
        said.stdout.contains("Application protocol: h2"),
        "{}",
        said.stdout
    );
}

#[test]
fn http2_goes_on_over_tls_to_the_servers() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (behind, origin) = showing(&[&file], "");
    let lb = Lb::start(&format!(
        "[[frontend]]\nname = \"web\"\nbind = {{ address = \"127.0.0.1:0\", tls = true }}\n\
         tls = {{ certificates = {file:?} }}\ndefault_backend = \"b\"\n\
         [[backend]]\nname = \"b\"\nprotocol = \"h2\"\nserver = \"{}\"\n\
         tls = {{ ca_file = {:?}, host = \"a.test\" }}\n",
        behind.addr(),
        ca.file()
    ));
    let Some(h2load) = real::tool(Part::H2load) else {
        return;
    };
    let url = format!("https://127.0.0.1:{}/", lb.addr().port());
    let said = h2load.run(["-n", "500", "-c", "5", "-m", "10", &url]);
    assert!(said.stdout.contains("500 succeeded"), "{}", said.stdout);
    assert_eq!(origin.requests().len(), 500);
}
