//! What an authority said of a certificate (OCSP), shown beside it.

use super::s_client;
use crate::support::authority::Authority;
use crate::support::real::{self, Part, Tool};
use crate::support::{Origin, PATIENCE, Rlb, free_addr, wait_until};

/// Writes what the authority says of serial 12 into this file.
fn answer(openssl: &Tool, ca: &Authority, file: &str) {
    let at = |name: &str| ca.dir().join(name).display().to_string();
    ca.put("index.txt", "V\t491231235959Z\t\t12\tunknown\t/CN=a.test\n");
    let (root, key, fresh) = (at("root.pem"), at("root.key"), at("fresh.ocsp"));
    let said = openssl.run([
        "ocsp",
        "-index",
        &at("index.txt"),
        "-CA",
        &root,
        "-rsigner",
        &root,
        "-rkey",
        &key,
        "-issuer",
        &root,
        "-serial",
        "0x12",
        "-ndays",
        "7",
        "-noverify",
        "-respout",
        &fresh,
    ]);
    assert!(said.status.success(), "{}", said.stderr);
    std::fs::rename(fresh, at(file)).unwrap();
}

#[test]
fn answer_beside_a_certificate_is_shown_from_the_next_handshake_on() {
    let Some(openssl) = real::tool(Part::Openssl) else {
        return;
    };
    let ca = Authority::new("ca");
    let key = rcgen::KeyPair::generate().unwrap();
    let pair = ca.sign(&["a.test"], &key, |params| {
        params.serial_number = Some(vec![0x12].into());
    });
    let file = ca.put("a.pem", &pair);
    let (origin, bind) = (Origin::ok("ok"), free_addr());
    let config = format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[[listen]]\nname = \"web\"\n\
         bind = {{ address = \"{bind}\", tls = true }}\n\
         tls = {{ certificates = {file:?} }}\nserver = \"{}\"\n",
        origin.addr()
    );
    let rlb = Rlb::with(config).ready_on(bind).start();
    let root = ca.file().display().to_string();
    let shown = |version: &str| {
        let more = ["-CAfile", &root, "-status", version];
        openssl.run(s_client(bind, "a.test", &more)).stdout
    };
    assert!(shown("-tls1_3").contains("OCSP response: no response sent"));

    answer(&openssl, &ca, "a.pem.ocsp");
    wait_until(PATIENCE * 2, "the answer is shown", || {
        shown("-tls1_3").contains("OCSP Response Status: successful (0x0)")
    });
    let old = shown("-tls1_2");
    assert!(old.contains("Cert Status: good"), "{old}");
    assert!(old.contains("Verify return code: 0 (ok)"), "{old}");

    ca.put("a.pem.ocsp", "nothing");
    let why = "a.pem.ocsp: not an OCSP answer in DER; the certificate is shown without it";
    wait_until(PATIENCE * 2, why, || rlb.stderr().contains(why));
    wait_until(PATIENCE * 2, "none is shown", || {
        shown("-tls1_3").contains("OCSP response: no response sent")
    });
}
