//! The page over https in a real browser: what it does without TLS it must do with it, on a
//! listener of its own and behind a frontend where the browser speaks HTTP/2.

use std::net::SocketAddr;

use super::browser::{keep, log_in_at, row};
use crate::support::authority::{Authority, Kind, key_hash};
use crate::support::real;
use crate::support::{Lb, Origin, PATIENCE, free_addr, wait_until};

/// A page of its own on `own`, and one on the frontend at `front`; both with TLS.
fn config(certificate: &str, own: SocketAddr, front: SocketAddr, server: SocketAddr) -> String {
    let page = "auth = \"ann:secret\", admin = true";
    format!(
        "[[listen]]\nname = \"web\"\nbind = [{{ address = \"{front}\", tls = true }}]\n\
         tls = {{ certificates = {certificate:?} }}\n\
         stats = {{ path = \"/haproxy_stats\", {page} }}\n\
         server = [{{ name = \"s1\", address = \"{server}\" }}]\n\
         check = {{ interval = \"100ms\", timeout = \"30s\" }}\n\
         [stats]\nauth = \"ann:secret\"\nadmin = true\n\
         bind = [{{ address = \"{own}\", tls = true }}]\ntls = {{ certificates = {certificate:?} }}\n"
    )
}

#[test]
fn over_https_states_change_live_and_a_click_drains() {
    let ca = Authority::new("ca");
    let pem = ca.issue(&["lb.test"], Kind::Ecdsa);
    let Some(browser) = real::browser_trusting(&key_hash(&pem)) else {
        return;
    };
    let certificate = ca.put("page.pem", &pem);
    let (own, front) = (free_addr(), free_addr());
    browser.size(1280, 800);
    for (addr, protocol) in [(own, "http/1.1"), (front, "h2")] {
        let origin = Origin::ok("1");
        let lb = Lb::start(&config(
            certificate.to_str().unwrap(),
            own,
            front,
            origin.addr(),
        ));
        let is = |status: &str| lb.server("web", "s1").status.starts_with(status);
        let at = format!("lb.test:{}/haproxy_stats", addr.port());
        // Without a password there is nothing to see.
        browser.open(&format!("https://{at}"));
        let nothing = browser.eval("document.getElementById('summary')");
        assert_eq!(nothing, serde_json::Value::Null);
        log_in_at(&browser, &format!("https://ann:secret@{at}"));
        wait_until(PATIENCE, protocol, || browser.eval(SPOKEN) == protocol);
        // The certificate counts as good, so this is not what a browser does with a bad one.
        assert_eq!(browser.eval("isSecureContext"), true);

        browser.wait(&format!("{}.classList.contains('up')", row("s1")));
        browser.click(&format!("{}.querySelector('input')", row("s1")));
        browser.click("document.querySelector('#steer [data-action=drain]')");
        browser.click("document.querySelector('#ask [value=yes]')");
        browser.wait(&format!("{}.classList.contains('drain')", row("s1")));
        assert!(is("DRAIN"), "{protocol}");
        browser.click(&format!("{}.querySelector('input')", row("s1")));
        browser.click("document.querySelector('#steer [data-action=ready]')");
        browser.wait(&format!("!{}.classList.contains('drain')", row("s1")));
        wait_until(PATIENCE, "ready again", || is("UP"));

        // Nobody asks for this: it comes by itself.
        drop(origin);
        browser.wait(&format!("{}.classList.contains('down')", row("s1")));
        browser.wait("document.getElementById('live').textContent === 'live'");
        keep(&browser, &format!("https-{}.png", &protocol[..2]));
    }
}

/// What the browser speaks with the place where its page is from. Of the page itself it does not
/// say: its URL has a password. The entry may come behind the answer.
const SPOKEN: &str = "fetch(location.origin + location.pathname + ';csv').then(a => a.text()) \
                      .then(() => performance.getEntriesByType('resource') \
                      .findLast(e => e.name.endsWith(';csv'))?.nextHopProtocol)";
