//! What certificates and idle connections cost.

use std::sync::Arc;
use std::time::Instant;

use crate::support::authority::{Authority, GET, TlsClient, ask, tls_client};
use crate::support::{Origin, PATIENCE, Rlb, free_addr, raise_descriptor_limit, small_pages};

fn start(ca: &Authority, shown: &str, origin: &Origin) -> (Rlb, std::net::SocketAddr) {
    let bind = free_addr();
    let config = format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[[listen]]\nname = \"web\"\n\
         bind = {{ address = \"{bind}\", tls = true }}\ntimeouts.keep_alive = \"1m\"\n\
         tls = {{ certificates = {:?} }}\nserver = \"{}\"\n",
        ca.dir().join(shown),
        origin.addr()
    );
    (Rlb::with(config).ready_on(bind).start(), bind)
}

#[test]
fn thousand_certificates_load_fast_and_small() {
    small_pages();
    let ca = Authority::new("ca");
    let key = rcgen::KeyPair::generate().unwrap();
    ca.put("one/a.pem", &ca.sign(&["h0.test"], &key, |_| {}));
    for n in 0..1_000 {
        let name = format!("h{n}.test");
        ca.put(
            &format!("many/{n:04}.pem"),
            &ca.sign(&[&name], &key, |_| {}),
        );
    }
    let origin = Origin::ok("ok");
    let (one, _) = start(&ca, "one", &origin);
    let started = Instant::now();
    let (many, bind) = start(&ca, "many", &origin);
    let took = started.elapsed();
    let each = many.resident().saturating_sub(one.resident()) / 1_000;
    println!("1,000 certificates: {took:?} from the exec to serving, {each} bytes each");
    assert!(each < 20 << 10, "{each} bytes");
    // Unoptimised and on a busy machine; a release build is asked for one second.
    assert!(took < PATIENCE, "{took:?}");
    for name in ["h0.test", "h999.test"] {
        ask(&mut ca.connect(bind, name), GET).unwrap();
    }
}

#[test]
fn idle_connections_are_small() {
    const STEP: usize = 400;
    raise_descriptor_limit();
    small_pages();
    let ca = Authority::new("ca");
    ca.write("shown/a.pem", &["a.test"]);
    let origin = Origin::ok("ok");
    let (rlb, bind) = start(&ca, "shown", &origin);
    let config = Arc::new(ca.client_config());
    let mut open: Vec<TlsClient> = Vec::new();
    let mut more = || {
        for _ in 0..STEP {
            let mut client = tls_client(bind, "a.test", Arc::clone(&config));
            ask(&mut client, GET).unwrap();
            open.push(client);
        }
        rlb.resident()
    };
    // The first ones fill pools.
    let before = more();
    let each = (more().saturating_sub(before)) / STEP;
    println!("{each} bytes for an idle TLS connection");
    assert!(each < 24 << 10, "{each} bytes");
}
