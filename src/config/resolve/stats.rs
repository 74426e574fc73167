//! `[stats]`, and `stats` of a frontend.

use std::path::{Path, PathBuf};

use super::tls;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::stats;
use crate::config::tree::{Node, Reader};
use crate::config::{Alpn, Frontend, FrontendTls, Stats, StatsBind, StatsServer};

pub(super) fn server(reader: &Reader<'_>, problems: &Problems) -> Option<StatsServer> {
    let entry = reader.own("stats")?;
    let reader = Reader::of(&entry.node);
    let default = StatsServer::default();
    let binds: Vec<_> = reader.list("bind").iter().filter_map(bind).collect();
    let is_secure = binds.iter().any(|bind| bind.tls);
    let server = StatsServer {
        tls: tls::shown(&reader, is_secure, "a stats page", problems).map(|tls| FrontendTls {
            alpn: vec![Alpn::Http11],
            ..tls
        }),
        binds,
        page: page(&reader, default.page, problems),
    };
    if server.is_exposed() {
        warn(&reader, &server.page, problems);
    }
    Some(server)
}

fn bind(node: &Node) -> Option<StatsBind> {
    let reader = Reader::of(node);
    Some(StatsBind {
        address: reader.parsed("address", stats::bind)?,
        tls: reader.flag("tls").unwrap_or(false),
    })
}

pub(super) fn of_frontend(reader: &Reader<'_>, problems: &Problems) -> Option<Stats> {
    let entry = reader.own("stats")?;
    Some(page(&Reader::of(&entry.node), Stats::default(), problems))
}

/// Warns of what is unwise where this frontend listens.
pub(super) fn warn_exposed(reader: &Reader<'_>, frontend: &Frontend, problems: &Problems) {
    if let (Some(entry), Some(page), true) =
        (reader.own("stats"), &frontend.stats, frontend.is_exposed())
    {
        warn(&Reader::of(&entry.node), page, problems);
    }
}

fn page(reader: &Reader<'_>, default: Stats, problems: &Problems) -> Stats {
    let accounts = reader.list("auth").iter().filter_map(Node::as_str);
    let page = Stats {
        path: reader.text("path").map_or(default.path, str::to_owned),
        accounts: accounts
            .filter_map(|text| stats::account(text).ok())
            .collect(),
        auth_file: auth_file(reader, problems),
        admin: reader.flag("admin").unwrap_or(default.admin),
        refresh: reader.duration("refresh"),
        metrics: match reader.node("metrics") {
            Some(_) => reader.some_text("metrics"),
            None => default.metrics,
        },
    };
    if let (true, false, Some(entry)) = (page.admin, page.has_accounts(), reader.own("admin")) {
        problems.missing(
            entry.key_place,
            "",
            Diagnostic::error(
                "admin = true needs `auth` or `auth_file`: anybody could stop traffic",
            )
            .help("`htpasswd -nB USER` prints an account for `auth`"),
        );
    }
    let mut names: Vec<_> = page.accounts.iter().map(|account| &account.name).collect();
    names.sort();
    if let (Some(twice), Some(entry)) = (
        names.windows(2).find(|pair| pair[0] == pair[1]),
        reader.own("auth"),
    ) {
        let name = twice[0].escape_debug();
        let diagnostic = Diagnostic::error(format!("two accounts are called `{name}`"));
        problems.at(entry.key_place, "", diagnostic);
    }
    page
}

/// Relative to the file that names it, as other files are.
fn auth_file(reader: &Reader<'_>, problems: &Problems) -> Option<PathBuf> {
    let file = reader.some_text("auth_file")?;
    let named_in = problems.source(reader.node("auth_file")?.place)?;
    Some(match Path::new(&named_in.name).parent() {
        Some(directory) => directory.join(file),
        None => PathBuf::from(file),
    })
}

fn warn(reader: &Reader<'_>, page: &Stats, problems: &Problems) {
    // Beside the key, not the value: diagnostics are kept and mailed.
    let place = ["auth", "path", "bind"]
        .iter()
        .find_map(|key| reader.own(key))
        .map_or_else(|| reader.place(), |entry| entry.key_place);
    for concern in page.concerns() {
        problems.missing(
            place,
            "",
            Diagnostic::warning(format!("stats: {concern}, and it is not of the loopback"))
                .help("`htpasswd -nB USER` prints an account with a hash; or listen on 127.0.0.1"),
        );
    }
}
