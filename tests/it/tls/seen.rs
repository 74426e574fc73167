//! What is seen of TLS from outside, and what a successor keeps.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use crate::support::authority::{Authority, GET, ask, tls_client};
use crate::support::{Origin, PATIENCE, Rlb, free_addr, wait_until};

fn config(ca: &Authority, socket: &Path, bind: SocketAddr, origin: &Origin) -> String {
    format!(
        "[global]\nworkers = 2\nadmin = {socket:?}\n[[listen]]\nname = \"web\"\n\
         bind = {{ address = \"{bind}\", tls = true }}\n\
         tls = {{ certificates = {:?}, strict_sni = true }}\nserver = \"{}\"\n",
        ca.dir().join("shown"),
        origin.addr()
    )
}

fn say(socket: &Path, command: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{command}\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn socket_and_metrics_show_certificates_and_handshakes() {
    let ca = Authority::new("ca");
    let key = rcgen::KeyPair::generate().unwrap();
    let text = ca.sign(&["a.test", "*.a.test"], &key, |params| {
        params.serial_number = Some(vec![0x12, 0xab].into());
        params.not_after = rcgen::date_time_ymd(2999, 12, 31);
    });
    let file = ca.put("shown/a.pem", &text);
    let origin = Origin::ok("ok");
    let (bind, socket) = (free_addr(), ca.dir().join("admin.sock"));
    let _rlb = Rlb::with(config(&ca, &socket, bind, &origin))
        .ready_on(bind)
        .start();

    assert!(ask(&mut ca.connect(bind, "b.test"), GET).is_err());
    ask(&mut ca.connect(bind, "a.test"), GET).unwrap();

    // HAProxy's management guide 9.3, "show ssl cert".
    let all = say(&socket, "show ssl cert");
    assert_eq!(all.trim_end(), format!("# filename\n{}", file.display()));
    let one = say(&socket, &format!("show ssl cert {}", file.display()));
    for line in [
        "Status: Used",
        "Serial: 12AB",
        "notAfter: Dec 31 00:00:00 2999 GMT",
        "Subject Alternative Name: DNS:a.test, DNS:*.a.test",
        "Algorithm: EC256",
        "Subject: /CN=a.test",
        "Issuer: /CN=ca",
    ] {
        assert!(one.lines().any(|said| said == line), "{line}: {one}");
    }
    let unknown = say(&socket, "show ssl cert b.pem");
    assert!(unknown.contains("Not found"), "{unknown}");

    let metrics = say(&socket, "show metrics");
    for line in [
        "rlb_tls_handshakes_total{proxy=\"web\"} 1",
        "rlb_tls_failed_handshakes_total{proxy=\"web\"} 1",
        "names=\"a.test,*.a.test\"} 32503593600",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[test]
fn successor_resumes_the_sessions_of_its_predecessor() {
    let ca = Authority::new("ca");
    ca.write("shown/a.pem", &["a.test"]);
    let origin = Origin::ok("ok");
    let (bind, socket) = (free_addr(), ca.dir().join("admin.sock"));
    let config = config(&ca, &socket, bind, &origin);
    let mut old = Rlb::with(&config).ready_on(bind).start();
    let clients = [&TLS12, &TLS13].map(|version| Arc::new(ca.configure(&[version], None)));
    for client in &clients {
        ask(&mut tls_client(bind, "a.test", Arc::clone(client)), GET).unwrap();
    }
    let new = Rlb::with(&config).arg("--takeover").arg(&socket).start();
    old.wait_exit();
    wait_until(PATIENCE, "the successor has the socket", || {
        say(&socket, "show info").contains(&format!("Pid: {}", new.pid().as_raw_nonzero()))
    });
    for client in &clients {
        let mut client = tls_client(bind, "a.test", Arc::clone(client));
        ask(&mut client, GET).unwrap();
        assert_eq!(client.conn.handshake_kind(), Some(HandshakeKind::Resumed));
    }
}
