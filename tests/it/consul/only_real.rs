//! What only the real one has: tokens, TLS, a cluster, DNS.

use super::*;

/// The real one's ACLs: a token that is deleted while it is in use. Its queries are
/// refused from then on, never answered with an empty list.
#[test]
fn a_token_that_is_deleted_takes_no_server_away() {
    let acl = format!(
        r#"{{"primary_datacenter":"dc1","acl":{{"enabled":true,"default_policy":"deny","tokens":{{"master":"{MASTER}","agent":"{MASTER}"}}}}}}"#
    );
    let Some(consul) = real::consul_with(&acl) else {
        return;
    };
    let addr = consul.addr();
    let put = |path: &str, body: &str| as_master(addr, "PUT", path, body);
    // Elected, a leader still speaks the ACLs of old until it has made the first token:
    // everything about the new ones is refused with 500.
    wait_until(3 * PATIENCE, "the first token is known", || {
        let path = format!("/v1/acl/policies?token={MASTER}");
        crate::support::consul::ask(addr, "GET", &path, "").is_ok_and(|(status, _)| status == 200)
    });
    let rules = r#"service_prefix \"\" {policy=\"read\"} node_prefix \"\" {policy=\"read\"}"#;
    put(
        "/v1/acl/policy",
        &format!("{{\"Name\":\"rlb\",\"Rules\":\"{rules}\"}}"),
    );
    let new_token = || {
        let token = put("/v1/acl/token", r#"{"Policies":[{"Name":"rlb"}]}"#);
        let token: Value = serde_json::from_str(&token).unwrap();
        ["SecretID", "AccessorID"].map(|key| token[key].as_str().unwrap().to_owned())
    };
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let register = |id: &str, origin: &Origin| {
        let (ip, port) = (origin.addr().ip().to_string(), origin.addr().port());
        let service = json!({ "ID": id, "Name": "web", "Address": ip, "Port": port });
        put("/v1/agent/service/register", &service.to_string());
    };
    register("web-a", &a);
    let [secret, accessor] = new_token();
    let dir = tempfile::tempdir().unwrap();
    let file_of_token = dir.path().join("token");
    std::fs::write(&file_of_token, secret).unwrap();
    let bind = free_addr();
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[discovery.backoff]\nmax = \"250ms\"\n\
         [[log]]\ntarget = \"stdout\"\nonly = \"errors\"\n{}",
        file(addr, WEB)
            .replace("127.0.0.1:0", &bind.to_string())
            .replace(
                "wait = \"10s\"",
                &format!("wait = \"1s\"\ntoken_file = {file_of_token:?}")
            )
    );
    let rlb = Rlb::with(&*text).ready_on(bind).start();
    until_served_by(bind, &["a"]);
    let served = || {
        let answer = ask(bind);
        if answer != "a" {
            // The log is written a moment later.
            dawdle(Duration::from_secs(1));
            panic!("{answer}: {}{}", rlb.stderr(), rlb.stdout());
        }
    };
    as_master(addr, "DELETE", &format!("/v1/acl/token/{accessor}"), "");
    wait_until(PATIENCE, "the token is refused", || {
        served();
        let log = rlb.stderr();
        log.contains("is lost") && log.contains("403: ACL not found")
    });
    register("web-b", &b);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        served();
    }
    let log = rlb.stderr();
    assert!(!log.contains("is empty all of a sudden"), "{log}");
    let [secret, _] = new_token();
    std::fs::write(&file_of_token, secret).unwrap();
    until_served_by(bind, &["a", "b"]);
}

/// The token that Consul is started with where it has ACLs.
const MASTER: &str = "11111111-1111-1111-1111-111111111111";

#[track_caller]
fn as_master(addr: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let path = format!("{path}?token={MASTER}");
    let (status, text) = crate::support::consul::ask(addr, method, &path, body).unwrap();
    assert_eq!(status, 200, "{path}: {text}");
    text
}

/// The real one's HTTPS: who its certificate is not signed for hears nothing of it, and
/// keeps what was heard before.
#[test]
fn https_agent_is_believed_when_its_authority_is_trusted() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let certificate = ours.write("consul.pem", &["127.0.0.1"]);
    let port = free_addr().port();
    let https = format!(
        r#"{{"ports":{{"https":{port}}},"cert_file":{certificate:?},"key_file":{certificate:?}}}"#
    );
    let Some(consul) = real::consul_with(&https) else {
        return;
    };
    let consul = Consul::Real(consul);
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    consul.register("web-a", a.addr());
    let text = |bind: SocketAddr, keys: &str| {
        format!(
            "[global]\nworkers = 1\nadmin = \"\"\n[discovery.backoff]\nmax = \"250ms\"\n\
             [discovery.consul]\n{keys}\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\n{WEB}\n"
        )
    };
    let bind = free_addr();
    let trusting = |authority: &Authority| {
        let keys = format!(
            "address = \"https://127.0.0.1:{port}\"\nca_file = {:?}",
            authority.file()
        );
        text(bind, &keys)
    };
    let rlb = Rlb::with(trusting(&ours)).ready_on(bind).start();
    until_served_by(bind, &["a"]);
    rlb.reload(&trusting(&others));
    wait_until(PATIENCE, "the certificate is refused", || {
        rlb.stderr()
            .contains("signed by none of the authorities we trust")
    });
    consul.register("web-b", b.addr());
    assert_eq!(who(bind), ["a"], "{}", rlb.stderr());
    rlb.reload(&trusting(&ours));
    until_served_by(bind, &["a", "b"]);
    // Where the file is silent, as Consul's own tools do it.
    let bind = free_addr();
    let _rlb = Rlb::with(text(bind, ""))
        .env("CONSUL_HTTP_ADDR", format!("127.0.0.1:{port}"))
        .env("CONSUL_HTTP_SSL", "true")
        .env("CONSUL_CACERT", ours.file())
        .ready_on(bind)
        .start();
    until_served_by(bind, &["a", "b"]);
}

/// Three servers: the leader dies, then a second one and with it the quorum. Traffic
/// does not notice, and what is registered between is followed.
#[test]
fn a_cluster_that_loses_leader_and_quorum_takes_no_server_away() {
    let Some(mut cluster) = real::cluster() else {
        return;
    };
    let leader = cluster
        .iter()
        .position(real::Member::leads)
        .expect("one leads");
    let leader = cluster.swap_remove(leader);
    let [ours, other] = <[_; 2]>::try_from(cluster).expect("two are left");
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let register = |id: &str, origin: &Origin| {
        let (ip, port) = (origin.addr().ip().to_string(), origin.addr().port());
        let service = json!({ "ID": id, "Name": "web", "Address": ip, "Port": port });
        let path = "/v1/agent/service/register";
        let put = crate::support::consul::ask(ours.addr(), "PUT", path, &service.to_string());
        assert_eq!(put.unwrap().0, 200);
    };
    register("web-a", &a);
    let lb = Lb::start(&file(ours.addr(), WEB));
    until_served_by(lb.addr(), &["a"]);
    leader.kill();
    let begin = Instant::now();
    while !ours.is_led() {
        assert_eq!(ask(lb.addr()), "a");
        assert!(begin.elapsed() < 3 * PATIENCE, "no new leader");
    }
    eprintln!("a new leader after {:?}", begin.elapsed());
    register("web-b", &b);
    wait_until(3 * PATIENCE, "the new one is followed", || {
        who(lb.addr()) == ["a", "b"]
    });
    other.kill();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        assert_eq!(who(lb.addr()), ["a", "b"]);
    }
    assert!(!ours.is_led(), "no quorum");
}

/// Two balancers registered in Consul, a client that finds them by its DNS: it loses
/// nothing while one of them is told to end.
#[test]
fn a_client_of_consuls_dns_does_not_notice_that_one_of_two_stops() {
    let Some(real) = real::consul() else { return };
    let dns = real.dns();
    let consul = Consul::Real(real);
    let origin = Origin::ok("a");
    consul.register("web-a", origin.addr());
    let start = || {
        let bind = free_addr();
        let text = format!(
            "[global]\nworkers = 1\nadmin = \"\"\ndrain_delay = \"1s\"\n{}\
             [[register]]\nconsul = \"lb\"\naddress = \"{bind}\"\nfrontend = \"web\"\nttl = \"10s\"\n",
            file(consul.addr(), WEB).replace("127.0.0.1:0", &bind.to_string())
        );
        (bind, Rlb::with(&*text).ready_on(bind).start())
    };
    let ((bind, mut first), _second) = (start(), start());
    wait_until(PATIENCE, "both are found", || srv_ports(dns).len() == 2);
    let mut requests = 0;
    let mut go = |until: &mut dyn FnMut(usize) -> bool| {
        let begin = Instant::now();
        while !until(requests) {
            let ports = srv_ports(dns);
            assert!(!ports.is_empty() && begin.elapsed() < PATIENCE, "{ports:?}");
            let port = ports[requests % ports.len()];
            assert_eq!(ask(([127, 0, 0, 1], port).into()), "a");
            requests += 1;
        }
    };
    go(&mut |requests| requests >= 100);
    first.signal(rustix::process::Signal::TERM);
    go(&mut |_| TcpStream::connect(bind).is_err());
    assert_eq!(srv_ports(dns).len(), 1);
    go(&mut |requests| requests >= 300);
    assert!(first.wait_exit().success());
}

/// The ports in the SRV records of `lb.service.consul` (RFC 2782), by one question over
/// UDP.
fn srv_ports(dns: u16) -> Vec<u16> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in ["lb", "service", "consul", ""] {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend(b"\0\x21\0\x01");
    socket.send_to(&question, ("127.0.0.1", dns)).unwrap();
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).unwrap();
    let mut rest = &answer[question.len()..length];
    let mut ports = Vec::new();
    for _ in 0..u16::from_be_bytes([answer[6], answer[7]]) {
        // A name ends with a zero or with a pointer (RFC 1035 4.1.4).
        while rest[0] != 0 && rest[0] & 0xc0 == 0 {
            rest = &rest[1 + usize::from(rest[0])..];
        }
        rest = &rest[if rest[0] == 0 { 1 } else { 2 }..];
        let length = usize::from(u16::from_be_bytes([rest[8], rest[9]]));
        if rest[..2] == [0, 33] {
            ports.push(u16::from_be_bytes([rest[14], rest[15]]));
        }
        rest = &rest[10 + length..];
    }
    ports
}
