//! `tls` of frontends, backends and servers, and `redirect_https`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::tree::{Node, Reader, Value};
use crate::config::{
    Alpn, Bind, ClientAuth, FrontendTls, Mode, RedirectHttps, ServerTls, TlsChoice, TlsVersion,
};

/// The `tls` of a frontend, and whether it fits its binds.
pub(super) fn frontend(
    reader: &Reader<'_>,
    mode: Mode,
    binds: &[Bind],
    problems: &Problems,
) -> Option<FrontendTls> {
    let is_used = binds.iter().any(|bind| bind.tls);
    let mut tls = shown(reader, is_used, "a frontend", problems)?;
    if mode == Mode::Tcp && reader.table("tls").node("alpn").is_none() {
        // What the servers speak is not known here.
        tls.alpn.clear();
    }
    Some(tls)
}

/// The `tls` beside binds, and whether it fits them: `is_used` = one of them speaks it.
pub(super) fn shown(
    reader: &Reader<'_>,
    is_used: bool,
    who: &str,
    problems: &Problems,
) -> Option<FrontendTls> {
    let Some(node) = reader.node("tls") else {
        if is_used {
            problems.missing(
                reader.place(),
                "one of its binds has tls = true",
                Diagnostic::error(format!("{who} that speaks TLS needs certificates"))
                    .help("write tls = { certificates = [\"/etc/rlb/tls/\"] }"),
            );
        }
        return None;
    };
    if let (false, Some(entry)) = (is_used, reader.own("tls")) {
        problems.missing(
            entry.key_place,
            "none of its binds speaks TLS",
            Diagnostic::warning("these certificates are never shown")
                .help("write bind = { address = \":443\", tls = true }"),
        );
    }
    let tls = certificates(node, &reader.table("tls"), problems);
    is_used.then_some(tls)
}

fn certificates(node: &Node, table: &Reader<'_>, problems: &Problems) -> FrontendTls {
    let default = FrontendTls::default();
    let client_auth = match table.text("client_auth") {
        Some("optional") => ClientAuth::Optional,
        Some("required") => ClientAuth::Required,
        _ => default.client_auth,
    };
    let ca_file = path(table, "ca_file", problems);
    if client_auth != ClientAuth::Off && ca_file.is_none() {
        problems.missing(
            node.place,
            "",
            Diagnostic::error("client_auth needs the authorities of the clients' certificates")
                .help("write ca_file = \"/etc/rlb/clients.pem\" beside it"),
        );
    }
    for key in ["ca_file", "crl_file"] {
        if let (ClientAuth::Off, Some(entry)) = (client_auth, table.own(key)) {
            let what = format!("`{key}` without client_auth: no client is asked");
            problems.missing(entry.key_place, "", Diagnostic::warning(what));
        }
    }
    if let Some(entry) = table.own("certificates")
        && matches!(&entry.node.value, Value::Array(items) if items.is_empty())
    {
        let diagnostic = Diagnostic::error("a frontend that speaks TLS needs a certificate");
        problems.at(entry.node.place, "none is given", diagnostic);
    }
    let files = table.list("certificates").iter();
    FrontendTls {
        certificates: files
            .filter_map(|node| beside(node, node.as_str()?, problems))
            .collect(),
        strict_sni: table.flag("strict_sni").unwrap_or(default.strict_sni),
        alpn: alpn(table).unwrap_or(default.alpn),
        min_version: match table.text("min_version") {
            Some("1.3") => TlsVersion::Tls13,
            _ => default.min_version,
        },
        cipher_suites: texts(table, "cipher_suites"),
        tickets: table.number("tickets").unwrap_or(default.tickets),
        client_auth,
        ca_file,
        crl_file: path(table, "crl_file", problems),
    }
}

/// The `tls` of a backend. In `[[listen]]` and `[defaults]` the key is the frontend's.
pub(super) fn backend(reader: &Reader<'_>, problems: &Problems) -> Option<ServerTls> {
    match choice(&reader.without_defaults(), problems) {
        TlsChoice::Own(tls) => Some(*tls),
        TlsChoice::Backend | TlsChoice::Off => None,
    }
}

/// The `tls` of a server.
pub(super) fn choice(reader: &Reader<'_>, problems: &Problems) -> TlsChoice {
    match reader.node("tls").map(|node| &node.value) {
        Some(Value::Bool(false)) => TlsChoice::Off,
        Some(Value::Table(_)) => {
            let tls = server(&reader.table("tls"), problems);
            TlsChoice::Own(Box::new(tls))
        }
        _ => TlsChoice::Backend,
    }
}

fn server(table: &Reader<'_>, problems: &Problems) -> ServerTls {
    let default = ServerTls::default();
    let tls = ServerTls {
        ca_file: path(table, "ca_file", problems),
        verify: table.flag("verify").unwrap_or(default.verify),
        sni: table.some_text("sni").map(Arc::from),
        host: table.some_text("host").map(Arc::from),
        certificate: path(table, "certificate", problems),
        key: path(table, "key", problems),
        alpn: alpn(table).unwrap_or(default.alpn),
    };
    if let (None, Some(entry)) = (&tls.certificate, table.own("key")) {
        let diagnostic = Diagnostic::error("a key without its certificate");
        problems.at(entry.key_place, "write certificate beside it", diagnostic);
    }
    if let (false, Some(entry)) = (tls.verify, table.own("verify")) {
        problems.missing(
            entry.key_place,
            "anybody on the way can read and change what is sent",
            Diagnostic::warning("the server is not verified")
                .help("ca_file takes a certificate the server signed itself"),
        );
    }
    if let (false, Some(entry)) = (tls.verify, table.own("ca_file")) {
        let diagnostic = Diagnostic::error("`ca_file` beside verify = false");
        problems.at(entry.key_place, "nothing is verified with it", diagnostic);
    }
    tls
}

pub(super) fn redirect(
    reader: &Reader<'_>,
    binds: &[Bind],
    problems: &Problems,
) -> Option<RedirectHttps> {
    let entry = reader.entry("redirect_https")?;
    if !matches!(entry.node.value, Value::Table(_)) {
        return None;
    }
    let table = reader.table("redirect_https");
    let default = RedirectHttps::default();
    let code = table.number("code").unwrap_or(default.code);
    if let (304..=306, Some(node)) = (code, table.node("code")) {
        let diagnostic = Diagnostic::error(format!("{code} does not send a client elsewhere"));
        problems.at(node.place, "takes 301, 302, 303, 307 or 308", diagnostic);
    }
    if let (true, Some(own)) = (
        !binds.is_empty() && binds.iter().all(|bind| bind.tls),
        reader.own("redirect_https"),
    ) {
        problems.missing(
            own.key_place,
            "every bind speaks TLS",
            Diagnostic::warning("nobody is ever redirected"),
        );
    }
    Some(RedirectHttps {
        code,
        port: table.number("port").unwrap_or(default.port),
    })
}

fn alpn(table: &Reader<'_>) -> Option<Vec<Alpn>> {
    table.node("alpn")?;
    let words = texts(table, "alpn");
    let protocols = words.iter().map(|word| match &**word {
        "h2" => Alpn::H2,
        _ => Alpn::Http11,
    });
    Some(protocols.collect())
}

fn texts(table: &Reader<'_>, key: &str) -> Vec<String> {
    let nodes = table.list(key).iter();
    nodes.filter_map(Node::as_str).map(str::to_owned).collect()
}

fn path(table: &Reader<'_>, key: &str, problems: &Problems) -> Option<PathBuf> {
    let node = table.node(key)?;
    beside(node, node.as_str()?, problems)
}

/// A path is relative to the file that names it, because a service's working directory
/// is nobody's choice.
fn beside(node: &Node, text: &str, problems: &Problems) -> Option<PathBuf> {
    let named_in = problems.source(node.place)?;
    Some(match Path::new(&named_in.name).parent() {
        Some(directory) => directory.join(text),
        None => PathBuf::from(text),
    })
}
