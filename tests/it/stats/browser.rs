//! The page in a real browser.

use std::net::SocketAddr;
use std::path::Path;

use super::ANN;
use super::many::thousand;
use super::{cell, get, listener_from};
use crate::support::real::{self, Browser};
use crate::support::{Lb, Origin, PATIENCE, free_addr, wait_until};

/// `RLB_SCREENSHOTS=DIR` keeps what is seen, for people to look at.
pub(super) fn keep(browser: &Browser, name: &str) {
    let png = browser.screenshot();
    assert!(png.starts_with(b"\x89PNG"), "{name}");
    if let Some(dir) = std::env::var_os("RLB_SCREENSHOTS") {
        std::fs::write(Path::new(&dir).join(name), png).unwrap();
    }
}

/// With the password in the URL, as a person would type it into the browser's box.
pub(super) fn log_in(browser: &Browser, addr: SocketAddr) {
    log_in_at(browser, &format!("http://ann:secret@{addr}/haproxy_stats"));
}

pub(super) fn log_in_at(browser: &Browser, url: &str) {
    browser.open(url);
    browser.wait("document.getElementById('live').textContent === 'live'");
}

/// The row of a server, as an expression.
pub(super) fn row(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.server')].find(r => r.querySelector('.who b').textContent === '{name}')"
    )
}

#[test]
fn states_change_live_and_a_click_drains() {
    let Some(browser) = real::browser() else {
        return;
    };
    let (first, second) = (Origin::ok("1"), Origin::ok("2"));
    let addr = free_addr();
    let lb = Lb::start(&format!(
        "[stats]\nbind = \"{addr}\"\nauth = \"ann:secret\"\nadmin = true\n\
         [[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nserver = [\n\
         {{ name = \"s1\", address = \"{}\" }},\n{{ name = \"s2\", address = \"{}\" }},\n]\n\
         check = {{ interval = \"100ms\", timeout = \"30s\" }}\n",
        first.addr(),
        second.addr()
    ));
    let status = |server: &str| {
        let (_, csv) = get(addr, "/haproxy_stats;csv", ANN);
        cell(&csv, "web", server, "status")
    };
    // Without a password there is nothing to see.
    browser.size(1280, 800);
    browser.open(&format!("http://{addr}/haproxy_stats"));
    assert_eq!(
        browser.eval("document.getElementById('summary')"),
        serde_json::Value::Null
    );
    log_in(&browser, addr);
    browser.wait(&format!("{}.classList.contains('up')", row("s1")));
    for _ in 0..20 {
        lb.client()
            .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .read_response();
    }
    let requests = "document.querySelector('#summary .tile span:last-of-type').textContent";
    browser.wait(&format!("{requests}.startsWith('20 requests')"));

    drop(second);
    browser.wait(&format!("{}.classList.contains('down')", row("s2")));
    let text = browser.eval(&format!("{}.textContent", row("s2")));
    assert!(
        text.as_str().unwrap().contains("Layer4 connection problem"),
        "{text}"
    );
    browser.wait("document.title.startsWith('(1)')");
    keep(&browser, "down.png");

    // The last one: the page asks before, and a no is a no.
    browser.click(&format!("{}.querySelector('.who')", row("s1")));
    let drain = format!(
        "{}.nextSibling.querySelector('[data-action=drain]')",
        row("s1")
    );
    browser.click(&drain);
    browser.wait("document.getElementById('ask').open");
    let words = browser.eval("document.getElementById('ask').textContent");
    assert!(
        words.as_str().unwrap().contains("No server of web is left"),
        "{words}"
    );
    browser.click("document.querySelector('#ask [value=no]')");
    browser.wait("!document.getElementById('ask').open");
    assert_eq!(status("s1"), "UP");
    browser.click(&drain);
    browser.click("document.querySelector('#ask [value=yes]')");
    browser.wait(&format!("{}.classList.contains('drain')", row("s1")));
    assert_eq!(status("s1"), "DRAIN");
    // Chosen by a click, steered in the bar, without a question: ready cuts nothing.
    browser.click(&format!("{}.querySelector('input')", row("s1")));
    browser.click("document.querySelector('#steer [data-action=ready]')");
    browser.wait(&format!("!{}.classList.contains('drain')", row("s1")));
    wait_until(PATIENCE, "ready again", || status("s1").starts_with("UP"));
    let sections = browser.eval("document.getElementById('tables').textContent");
    assert!(
        sections
            .as_str()
            .unwrap()
            .contains("set server web/s1 state"),
        "{sections}"
    );
}

#[test]
fn one_of_a_thousand_is_found_on_any_screen() {
    let Some(browser) = real::browser() else {
        return;
    };
    let (lb, addr) = thousand("auth = \"ann:secret\"");
    browser.size(1440, 900);
    browser.prefer_dark(false);
    log_in(&browser, addr);
    assert_eq!(
        browser.eval("document.querySelectorAll('.server').length"),
        1000
    );
    let shown = "[...document.querySelectorAll('.server')].filter(r => r.offsetParent).length";
    assert_eq!(browser.eval(shown), 1000);
    // Found by keys alone.
    browser.key("/", "/");
    browser.type_text("srv0042");
    browser.wait(&format!("{shown} === 1"));
    browser.key("Escape", "");
    browser.wait(&format!("{shown} === 1000"));
    browser.key("j", "j");
    browser.key("j", "j");
    browser.wait("document.activeElement.textContent.startsWith('srv0001')");
    // Nobody may steer here, so nothing is offered.
    assert_eq!(
        browser.eval("document.querySelectorAll('input[type=checkbox]').length"),
        0
    );

    let color = "getComputedStyle(document.body).backgroundColor";
    let light = browser.eval(color);
    browser.prefer_dark(true);
    browser.wait(&format!("{color} !== {light}"));
    keep(&browser, "dark.png");
    // Asked for, it stays light in the dark.
    browser.click("document.getElementById('theme')");
    browser.wait(&format!("{color} === {light}"));

    browser.size(390, 844);
    browser.wait("innerWidth === 390");
    let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.eval(overflow), 0, "nothing is wider than the phone");
    keep(&browser, "phone.png");
    drop(lb);
}

#[test]
fn without_events_the_page_looks_again() {
    let Some(browser) = real::browser() else {
        return;
    };
    let addr = free_addr();
    let config = |weight: u8| {
        format!(
            "[stats]\nbind = \"{addr}\"\nrefresh = \"1s\"\n[[listen]]\nname = \"web\"\n\
             bind = \"127.0.0.1:0\"\nserver = {{ name = \"s1\", address = \"127.0.0.1:1\", weight = {weight} }}\n"
        )
    };
    let lb = Lb::start(&config(1));
    let taken: Vec<_> = (0..32)
        .map(|number| listener_from(2 + number % 2, addr))
        .collect();
    browser.open(&format!("http://{addr}/haproxy_stats"));
    browser.wait("document.getElementById('live').textContent === 'every 1 s'");
    lb.apply(&format!(
        "[global]\nworkers = 1\nadmin = \"\"\n{}",
        config(7)
    ))
    .unwrap();
    browser.wait(&format!(
        "{}.querySelector('.c-weight b').textContent === '7'",
        row("s1")
    ));
    drop(taken);
}
