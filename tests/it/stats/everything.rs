//! The page with all it can show: groups, a file source, certificates, overrides, and
//! something that drains.

use std::path::Path;

use super::browser::{keep, log_in};
use crate::support::authority::{Authority, GET, ask as ask_tls};
use crate::support::real;
use crate::support::{Answer, Origin, RawClient, Rlb, echoed, free_addr};

fn config(
    dir: &Path,
    authority: &Authority,
    origins: &[Origin],
    at: [std::net::SocketAddr; 4],
) -> String {
    let [stats, web, secure, db] = at;
    let certificates = dir.join("certificates");
    std::fs::create_dir_all(&certificates).unwrap();
    for (file, names) in [
        (
            "shop.pem",
            &["shop.example.com", "www.shop.example.com"][..],
        ),
        ("api.pem", &["api.example.com"]),
    ] {
        let pem = authority.issue(names, crate::support::authority::Kind::Ecdsa);
        std::fs::write(certificates.join(file), pem).unwrap();
    }
    let address = |index: usize| origins[index].addr();
    let nodes = format!(
        "server = [\n{{ name = \"node-a\", address = \"{}\" }},\n{{ name = \"node-b\", address = \"{}\" }},\n]\n",
        address(0),
        address(1)
    );
    std::fs::write(dir.join("nodes.toml"), nodes).unwrap();
    let member = |name: &str, index: usize, group: &str| {
        format!(
            "{{ name = \"{name}\", address = \"{}\", group = \"{group}\" }},\n",
            address(index)
        )
    };
    format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n\
         [stats]\nbind = \"{stats}\"\nauth = \"ann:secret\"\nadmin = true\n\
         [[frontend]]\nname = \"www\"\nbind = \"{web}\"\ndefault_backend = \"nodes\"\n\
         [[frontend.route]]\npath_prefix = \"/goat\"\nbackend = \"goat\"\n\
         [[frontend]]\nname = \"secure\"\nbind = {{ address = \"{secure}\", tls = true }}\n\
         default_backend = \"nodes\"\ntls = {{ certificates = [\"{}\"] }}\n\
         [[backend]]\nname = \"nodes\"\nsource = {{ file = \"{}\" }}\n\
         check = {{ interval = \"100ms\", timeout = \"10s\" }}\n\
         [[backend]]\nname = \"goat\"\nserver = [\n{}{}{}]\n\
         groups = {{ weights = {{ static = {{ \"0.0.1\" = 90, \"0.0.2\" = 10 }} }} }}\n\
         [[listen]]\nname = \"db\"\nmode = \"tcp\"\nbind = \"{db}\"\nserver = [\n\
         {{ name = \"d1\", address = \"{}\" }},\n{{ name = \"d2\", address = \"{}\" }},\n]\n",
        dir.join("admin.sock").display(),
        certificates.display(),
        dir.join("nodes.toml").display(),
        member("goat-old-1", 0, "0.0.1"),
        member("goat-old-2", 1, "0.0.1"),
        member("goat-new-1", 2, "0.0.2"),
        address(0),
        address(1),
    )
}

fn ask(dir: &Path, command: &str) -> String {
    crate::log::ask(&dir.join("admin.sock"), command)
}

#[test]
fn tables_hold_groups_sources_certificates_overrides_and_what_drains() {
    let Some(browser) = real::browser() else {
        return;
    };
    let origin = || Origin::answering(|request| Answer::Keep(echoed(request.head.first_line())));
    let origins = [origin(), origin(), origin()];
    let dir = crate::support::temp_dir();
    let authority = Authority::new("an authority");
    let at = [free_addr(), free_addr(), free_addr(), free_addr()];
    let [stats, web, secure, db] = at;
    let text = config(dir.path(), &authority, &origins, at);
    let rlb = Rlb::with(&text).ready_on(web).ready_on(stats).start();
    let mut client = RawClient::connect(web);
    for number in 0..200 {
        let path = if number % 2 == 0 { "/goat" } else { "/" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.send(request).read_response().0.status(), 200);
    }
    ask_tls(&mut authority.connect(secure, "shop.example.com"), GET).unwrap();
    let mut sessions: Vec<_> = (0..4).map(|_| RawClient::connect(db)).collect();
    for session in &mut sessions {
        session
            .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .read_response();
    }
    assert_eq!(ask(dir.path(), "set weight nodes/node-a 30").trim(), "");
    assert_eq!(
        ask(dir.path(), "set server goat/goat-old-2 state maint").trim(),
        ""
    );
    assert!(ask(dir.path(), "del server db/d2 drain 10m").contains("deleted"));

    browser.size(1440, 900);
    browser.prefer_dark(false);
    log_in(&browser, stats);
    let shown = "document.getElementById('tables').textContent";
    for what in [
        "nodes.toml",
        "shop.example.com",
        "api.example.com",
        "set weight nodes/node-a",
        "d2",
        "goat-old-2",
    ] {
        browser.wait(&format!("document.body.textContent.includes('{what}')"));
    }
    for what in ["nodes.toml", "shop.example.com", "node-a"] {
        browser.wait(&format!("{shown}.includes('{what}')"));
    }
    // What the groups have, wanted and served.
    let words = browser.eval("document.body.textContent");
    let words = words.as_str().unwrap();
    for what in ["0.0.1", "0.0.2"] {
        assert!(words.contains(what), "{what}");
    }
    keep(&browser, "everything.png");
    let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.eval(overflow), 0);
    browser.eval("document.getElementById('tables').scrollIntoView()");
    keep(&browser, "everything-tables.png");
    browser.prefer_dark(true);
    keep(&browser, "everything-tables-dark.png");
    browser.size(390, 844);
    browser.wait("innerWidth === 390");
    assert_eq!(browser.eval(overflow), 0, "nothing is wider than the phone");
    browser.eval("document.getElementById('tables').scrollIntoView()");
    keep(&browser, "everything-tables-phone.png");
    browser.eval("window.scrollTo(0, 0)");
    keep(&browser, "everything-phone.png");
    browser.eval("window.scrollTo(0, 800)");
    keep(&browser, "everything-phone-2.png");

    // What drained is gone from the page as it goes.
    browser.wait(&format!("{shown}.includes('Draining')"));
    drop(sessions);
    browser.wait(&format!("!{shown}.includes('Draining')"));
    drop(rlb);
}
