//! What only a fake can be made to do.

use super::*;

/// Nothing of a fault's answer is taken for news.
#[test]
fn errors_of_every_kind_leave_the_set_as_it_is() {
    let fake = Fake::start();
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let often = "[discovery.backoff]\nmax = \"250ms\"\n[discovery.consul]";
    let lb = Lb::start(&file(fake.addr(), WEB).replace("[discovery.consul]", often));
    let consul = Consul::Fake(fake);
    let Consul::Fake(fake) = &consul else {
        unreachable!("made above")
    };
    consul.register("web-a", a.addr());
    consul.register("web-b", b.addr());
    until_served_by(lb.addr(), &["a", "b"]);
    for fault in [
        Fault::NoLeader,
        Fault::Denied,
        Fault::Reset,
        Fault::Garbled,
        Fault::Blind,
        Fault::NoIndex,
        Fault::Silent,
    ] {
        let (before, begin) = (fake.requests(), Instant::now());
        fake.fail(Some(fault));
        // Wakes whoever waits.
        consul.register("web-x", free_addr());
        consul.deregister("web-x");
        if fault != Fault::Silent {
            let tried = || fake.requests() > before + 1;
            wait_until(PATIENCE, &format!("{fault:?} is seen"), tried);
        }
        assert_eq!(who(lb.addr()), ["a", "b"], "{fault:?}");
        // Consul's errors carry an index of 1: who stores it spins.
        let spun = (fake.requests() - before) as f64 / begin.elapsed().as_secs_f64();
        assert!(spun < 100.0, "{fault:?}: {spun} requests a second");
        fake.fail(None);
    }
    let c = Origin::ok("c");
    consul.register("web-c", c.addr());
    until_served_by(lb.addr(), &["a", "b", "c"]);
}

#[test]
fn a_token_is_read_again_when_it_is_refused() {
    let fake = Fake::start();
    fake.demand("new");
    let origin = Origin::ok("a");
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "old\n").unwrap();
    let keys = format!("token_file = \"{}\"\n[[listen]]", token.display());
    let lb = Lb::start(&file(fake.addr(), WEB).replace("[[listen]]", &keys));
    let consul = Consul::Fake(fake);
    consul.register("web-a", origin.addr());
    let Consul::Fake(fake) = &consul else {
        unreachable!("made above")
    };
    wait_until(PATIENCE, "it is refused", || fake.requests() > 1);
    assert_eq!(ask(lb.addr()), "503");
    std::fs::write(&token, "new\n").unwrap();
    until_served_by(lb.addr(), &["a"]);
}
