//! The closed list of commands: their words, their help, who may use them.

use super::{Arguments, Command, frontend, other, server, show, unconfigured};
use crate::config::AdminLevel;
use crate::config::AdminLevel::{Admin, Operator, User};
use crate::control::admin::answer::Reply;

struct Entry {
    /// The words that name it, and its arguments for the help.
    usage: &'static str,
    help: &'static str,
    /// How many words of the usage name it.
    words: usize,
    level: AdminLevel,
    parse: fn(&Arguments<'_>) -> Result<Command, Reply>,
}

const fn entry(
    level: AdminLevel,
    words: usize,
    usage: &'static str,
    help: &'static str,
    parse: fn(&Arguments<'_>) -> Result<Command, Reply>,
) -> Entry {
    Entry {
        usage,
        help,
        words,
        level,
        parse,
    }
}

/// In the order of the help.
#[rustfmt::skip]
const ENTRIES: &[Entry] = &[
    entry(Admin, 2, "add acl [@<ver>] <acl> <pattern>", "add an acl entry", unconfigured::acl),
    entry(Admin, 2, "add map [@<ver>] <map> <key> <val>", "add a map entry (payload supported instead of key/val)", unconfigured::map),
    entry(Admin, 2, "add server <bk>/<srv> <addr> [<kw>...]", "add a server; with 'up' it serves at once", server::add),
    entry(Admin, 2, "clear acl [@<ver>] <acl>", "clear the contents of this acl", unconfigured::acl),
    entry(Operator, 2, "clear counters [all]", "clear max statistics counters (or all counters)", other::clear_counters),
    entry(Admin, 3, "clear counters server <bk>/<srv>", "clear the counters of this server", server::clear_counters),
    entry(Admin, 2, "clear map [@<ver>] <map>", "clear the contents of this map", unconfigured::map),
    entry(Admin, 2, "clear override <bk>/<srv>|<fe>", "let this run as it is written again", other::clear_override),
    entry(Admin, 2, "clear overrides", "let everything run as it is written again", other::clear_overrides),
    entry(Admin, 2, "clear table <table> [<filter>]*", "remove an entry from a table (filter: data/key)", unconfigured::table),
    entry(Admin, 2, "commit acl @<ver> <acl>", "commit the ACL at this version", unconfigured::acl),
    entry(Admin, 2, "commit map @<ver> <map>", "commit the map at this version", unconfigured::map),
    entry(Admin, 3, "commit ssl cert <certfile>", "commit a certificate file", unconfigured::certificate),
    entry(Admin, 2, "del acl <acl> [<key>|#<ref>]", "delete acl entries matching <key>", unconfigured::acl),
    entry(Admin, 2, "del map <map> [<key>|#<ref>]", "delete map entries matching <key>", unconfigured::map),
    entry(Admin, 2, "del server <bk>/<srv> [drain <time>]", "remove a server; its sessions finish within <time>", server::delete),
    entry(Admin, 3, "del ssl cert <certfile>", "delete an unused certificate file", unconfigured::certificate),
    entry(Admin, 2, "disable agent <bk>/<srv>", "disable agent checks", server::disable_agent),
    entry(Admin, 2, "disable frontend <frontend>", "temporarily disable specific frontend", frontend::disable),
    entry(Admin, 2, "disable health <bk>/<srv>", "disable health checks", server::disable_health),
    entry(Admin, 2, "disable server <bk>/<srv>", "disable a server for maintenance (use 'set server' instead)", server::disable_server),
    entry(User, 1, "echo <text>", "print text to the output", other::echo),
    entry(Admin, 2, "enable agent <bk>/<srv>", "enable agent checks", server::enable_agent),
    entry(Admin, 2, "enable frontend <frontend>", "re-enable specific frontend", frontend::enable),
    entry(Admin, 2, "enable health <bk>/<srv>", "enable health checks", server::enable_health),
    entry(Admin, 2, "enable server <bk>/<srv>", "enable a disabled server (use 'set server' instead)", server::enable_server),
    entry(Operator, 1, "explain <method> <url> [<name>:<value>]", "which route, backend and servers a request would meet", other::explain),
    entry(Operator, 2, "get acl <acl> <value>", "report the patterns matching a sample for an ACL", unconfigured::acl),
    entry(Operator, 2, "get map <map> <value>", "report the keys and values matching a sample for a map", unconfigured::map),
    entry(User, 2, "get weight <bk>/<srv>", "report a server's current weight", server::get_weight),
    entry(Admin, 3, "new ssl cert <certfile>", "create a new certificate file to be used in a crt-list or a directory", unconfigured::certificate),
    entry(User, 1, "operator", "lower the level of the current CLI session to operator", other::operator),
    entry(Admin, 2, "prepare acl <acl>", "prepare a new version for atomic ACL replacement", unconfigured::acl),
    entry(Admin, 2, "prepare map <map>", "prepare a new version for atomic map replacement", unconfigured::map),
    entry(Admin, 1, "reload", "read the configuration files again", other::reload),
    entry(Admin, 2, "save state", "write run-time changes to the state directory now", other::save_state),
    entry(Admin, 2, "set map <map> [<key>|#<ref>] <value>", "modify a map entry", unconfigured::map),
    entry(Admin, 3, "set maxconn frontend <frontend> <value>", "change a frontend's maxconn setting", frontend::maxconn),
    entry(Admin, 3, "set maxconn global <value>", "change the per-process maxconn setting", frontend::maxconn_global),
    entry(Admin, 3, "set maxconn server <bk>/<srv> <value>", "change a server's maxconn setting", server::maxconn),
    entry(Admin, 2, "set rate-limit <setting> global <value>", "change a rate limiting value", frontend::rate_limit),
    entry(Admin, 2, "set server <bk>/<srv> [opts]", "change a server's state, weight, address or ssl", server::set),
    entry(User, 2, "set severity-output [none|number|string]", "set presence of severity level in feedback information", other::severities),
    entry(Admin, 3, "set ssl cert <certfile> <payload>", "replace a certificate file", unconfigured::certificate),
    entry(Admin, 2, "set table <table> key <k> [data.* <v>]*", "update or create a table entry's data", unconfigured::table),
    entry(User, 2, "set timeout cli <delay>", "change the CLI timeout setting", other::timeout),
    entry(Admin, 2, "set weight <bk>/<srv> <weight>", "change a server's weight (use 'set server' instead)", server::set_weight),
    entry(Operator, 2, "show acl [@<ver>] <acl>", "report available acls or dump an acl's contents", unconfigured::show_acl),
    entry(User, 2, "show backend [json]", "list backends in the current running config", show::backends),
    entry(Operator, 2, "show cache", "show cache status", unconfigured::nothing),
    entry(User, 3, "show cli level", "display the level of the current CLI session", other::show_level),
    entry(Operator, 3, "show cli sockets [json]", "dump list of cli sockets", show::sockets),
    entry(User, 2, "show drain [json]", "what is left on servers that take no new work, and when it is cut", show::drain),
    entry(Operator, 2, "show env [<var>] [json]", "dump environment variables known to the process; secrets as ***", show::env),
    entry(Operator, 2, "show errors [<px>]", "report last request and/or response errors for each proxy", show::errors),
    entry(Operator, 2, "show generations [json]", "the last changes: when, why and what", show::generations),
    entry(User, 2, "show groups [<backend>] [json]", "groups of servers: their weight, what that is of the work, what they get now", show::groups),
    entry(User, 2, "show health [json]", "listeners and workers that this process lacks, and whether it drains", show::health),
    entry(User, 2, "show info [desc|json|typed|float]*", "report information about the running process", show::info),
    entry(Operator, 2, "show map [@<ver>] <map>", "report available maps or dump a map's contents", unconfigured::show_map),
    entry(User, 2, "show metrics [<scope>|no-maint]*", "report metrics for Prometheus (global, frontend, backend, server, rlb)", show::metrics),
    entry(Operator, 2, "show overrides [json]", "where running and written state differ", show::overrides),
    entry(Operator, 2, "show peers [dict|-] [section]", "dump some information about all the peers or this peers section", unconfigured::nothing),
    entry(User, 2, "show proc", "show processes status", show::processes),
    entry(User, 3, "show schema json", "report schema used for stats", show::schema),
    entry(User, 2, "show servers [<backend>] [json]", "servers' states and counters, as 'show stat' has them", show::servers),
    entry(User, 3, "show servers conn [<backend>] [json]", "dump server connections status (all or for a single backend)", show::servers_conn),
    entry(User, 3, "show servers state [<backend>] [json]", "dump volatile server information (all or for a single backend)", show::servers_state),
    entry(Operator, 2, "show sess [<id>|server|backend|...]", "report the list of current sessions", show::sessions),
    entry(Operator, 2, "show sources [json]", "where servers come from: state, age, members, and what is left out and why", show::sources),
    entry(Operator, 3, "show ssl ca-file [<cafile>]", "display the SSL CA files used in memory", unconfigured::show_certificate),
    entry(Operator, 3, "show ssl cert [<certfile>]", "display the SSL certificates used in memory", show::certificates),
    entry(Operator, 3, "show ssl crl-file [<crlfile>]", "display the SSL CRL files used in memory", unconfigured::show_certificate),
    entry(Operator, 3, "show ssl crt-list [-n] [<file>]", "show the list of crt-lists or the content of a crt-list", unconfigured::show_certificate),
    entry(User, 2, "show stat [desc|json|no-maint|typed|up]*", "report counters for each proxy and server", show::stat),
    entry(Operator, 2, "show table <table> [<filter>]*", "report table usage stats or dump this table's contents", unconfigured::show_table),
    entry(Operator, 2, "show tls-keys [id|*]", "show tls keys references or dump tls ticket keys", unconfigured::show_tls_keys),
    entry(User, 2, "show version [json]", "show version of the current process", show::version),
    entry(Admin, 2, "shutdown frontend <frontend>", "stop a specific frontend", frontend::shutdown),
    entry(Admin, 2, "shutdown session <id>", "kill a specific session", other::shutdown_session),
    entry(Admin, 3, "shutdown sessions server <bk>/<srv>", "kill sessions on a server", server::shutdown_sessions),
    entry(Admin, 1, "upgrade", "start the program of this process anew; it takes over and this one drains", other::upgrade),
    entry(User, 1, "user", "lower the level of the current CLI session to user", other::user),
    entry(User, 1, "wait <delay> [srv-removable <bk>/<srv>]", "wait the specified delay or condition before continuing", other::wait),
];

/// Every list ends with these.
#[rustfmt::skip]
const LAST: &[Entry] = &[
    entry(User, 1, "help [<command>]", "list matching or all commands", nothing),
    entry(User, 1, "prompt [help|n|i|p|timed]*", "toggle interactive mode with prompt", other::prompt),
    entry(User, 1, "quit", "disconnect", other::quit),
];

/// `help` has a way of its own.
fn nothing(_: &Arguments<'_>) -> Result<Command, Reply> {
    Ok(Command::Answer(Reply::Silent))
}

impl Entry {
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.usage.split(' ').take(self.words)
    }

    fn is_named_by(&self, words: &[&str]) -> bool {
        self.words <= words.len() && self.names().zip(words).all(|(name, word)| name == *word)
    }
}

/// Takes off the address of a process that master sockets know: there is but one.
pub(super) fn process_prefix<'w, 'a>(words: &'w [&'a str]) -> Result<&'w [&'a str], Reply> {
    match words {
        [first, rest @ ..] if first.starts_with('@') => match first.trim_start_matches('@') {
            "" | "1" | "master" => Ok(rest),
            pid if pid.strip_prefix('!') == Some(&std::process::id().to_string()) => Ok(rest),
            _ => Err(Reply::refused(format!(
                "Can't find the target PID matching the prefix '{first}'"
            ))),
        },
        words => Ok(words),
    }
}

/// Understands `words` for a client of this level.
pub(super) fn parse(words: &[&str], level: AdminLevel) -> Result<Command, Reply> {
    let Some(first) = words.first() else {
        return Ok(Command::Answer(Reply::Silent));
    };
    if *first == "help" {
        return Ok(Command::Answer(help(&words[1..], level)));
    }
    let named = ENTRIES.iter().chain(LAST).filter(|e| e.is_named_by(words));
    let Some(entry) = named.max_by_key(|entry| entry.words) else {
        return Ok(Command::Answer(unknown(first, level)));
    };
    if level < entry.level {
        return Err(Reply::refused("Permission denied"));
    }
    (entry.parse)(&Arguments {
        words: &words[entry.words..],
        level,
    })
}

fn help(words: &[&str], level: AdminLevel) -> Reply {
    let matching = ENTRIES.iter().filter(|entry| {
        entry
            .names()
            .zip(words)
            .all(|(name, word)| name.starts_with(word))
    });
    list(
        "The following commands are valid at this level:",
        matching,
        level,
    )
}

fn unknown(first: &str, level: AdminLevel) -> Reply {
    // Whatever was typed comes back on one line of printable text.
    let shown: String = first
        .chars()
        .flat_map(char::escape_default)
        .take(80)
        .collect();
    let same_verb = |entry: &&Entry| entry.names().next() == Some(first);
    if ENTRIES.iter().any(|entry| same_verb(&entry)) {
        return list(&near(&shown), ENTRIES.iter().filter(same_verb), level);
    }
    let verbs = ENTRIES.iter().filter_map(|entry| entry.names().next());
    match crate::config::suggest::nearest(first, verbs) {
        Some(verb) => {
            let meant = ENTRIES.iter().filter(|e| e.names().next() == Some(verb));
            list(&near(&shown), meant, level)
        }
        None => list(&near(&shown), ENTRIES.iter(), level),
    }
}

fn near(word: &str) -> String {
    format!("Unknown command: '{word}', but maybe one of the following ones is a better match:")
}

fn list<'e>(title: &str, entries: impl Iterator<Item = &'e Entry>, level: AdminLevel) -> Reply {
    let mut text = format!("{title}\n");
    for entry in entries.chain(LAST).filter(|entry| entry.level <= level) {
        text += &format!("  {:<40}: {}\n", entry.usage, entry.help);
    }
    Reply::info(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_fit_their_column_and_stand_in_order() {
        for entry in ENTRIES {
            assert!(entry.usage.len() <= 40, "{}", entry.usage);
        }
        let usages: Vec<_> = ENTRIES
            .iter()
            .map(|entry| entry.names().collect::<Vec<_>>())
            .collect();
        assert!(usages.is_sorted());
    }
}
