//! `show servers state`, `show servers conn`, `show backend`.

use std::fmt::Write as _;

use super::Snapshot;
use super::lines::is_stopped;
use super::rows::{CheckRow, Proxy, ServerRow};
use crate::config::ServerAddress;
use crate::state::{Admin, CheckCode, Operational};

/// What a backend is asked for that is not there.
const NO_BACKEND: &str = "Can't find backend.";

/// `show servers state [backend]`, HAProxy's format 1: 25 columns.
///
/// # Errors
/// There is no such backend.
pub(crate) fn servers_state(
    snapshot: &Snapshot,
    backend: Option<&str>,
) -> Result<String, &'static str> {
    let mut out = String::from(STATE_HEADER);
    each(snapshot, backend, |proxy, server| {
        state_line(&mut out, proxy, server)
    })?;
    Ok(out)
}

const STATE_HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state \
srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status \
srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id \
srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr \
srv_agent_addr srv_agent_port\n";

fn state_line(out: &mut String, proxy: &Proxy, server: &ServerRow) {
    let operational = match server.operational {
        _ if is_stopped(server) => 0,
        Operational::Stopping => 3,
        _ => 2,
    };
    let admin = match server.admin {
        Admin::Ready => 0,
        Admin::Maint => 1,
        Admin::Drain => 8,
    };
    let (address, port) = endpoint(&server.address);
    let check = Check::of(server.check.as_ref(), server.admin == Admin::Maint);
    let (check_address, check_port) = match server.check.as_ref().and_then(|c| c.address.as_ref()) {
        Some(elsewhere) => check_endpoint(elsewhere, &address),
        None => ("-".to_owned(), 0),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} {} {} {} {address} {operational} {admin} {} {} {} {} {} {} {} 0 0 0 - {port} - {} \
         {check_port} {check_address} - 0",
        proxy.iid,
        proxy.name,
        server.sid,
        server.name,
        server.own_weight,
        server.initial_weight,
        server.changed_s,
        check.status,
        check.result,
        check.health,
        check.state,
        u8::from(server.tls),
    );
}

/// srv_check_status, srv_check_result, srv_check_health, srv_check_state.
struct Check {
    status: u8,
    result: u8,
    health: u32,
    state: u8,
}

/// check_state: a check is written, and it runs.
const CONFIGURED_AND_ENABLED: u8 = 2 | 4;
/// check_state: one is under way.
const RUNNING: u8 = 1;
/// check_state: the server is in maintenance.
const PAUSED: u8 = 8;

impl Check {
    fn of(check: Option<&CheckRow>, paused: bool) -> Self {
        let Some(check) = check else {
            // As HAProxy has it: initial, at the default rise.
            return Self {
                status: CheckCode::Ini as u8,
                result: 0,
                health: 2,
                state: 0,
            };
        };
        let code = check.last.code;
        Self {
            status: code as u8,
            result: match code {
                CheckCode::Unknown | CheckCode::Ini => 0,
                code if code.passed() => 3,
                _ => 2,
            },
            health: check.health,
            state: CONFIGURED_AND_ENABLED
                | if paused { PAUSED } else { 0 }
                | if check.running { RUNNING } else { 0 },
        }
    }
}

fn endpoint(address: &ServerAddress) -> (String, u16) {
    match address {
        ServerAddress::Ip(address) => (address.ip().to_string(), address.port()),
        ServerAddress::Name(_, port) => ("-".to_owned(), *port),
        ServerAddress::Unix(_) | ServerAddress::Abstract(_) => ("-".to_owned(), 0),
    }
}

/// Only what differs is shown.
fn check_endpoint(check: &ServerAddress, own: &str) -> (String, u16) {
    match endpoint(check) {
        (address, port) if address == own => ("-".to_owned(), port),
        other => other,
    }
}

/// `show servers conn [backend]`.
///
/// # Errors
/// There is no such backend.
pub(crate) fn servers_conn(
    snapshot: &Snapshot,
    backend: Option<&str>,
) -> Result<String, &'static str> {
    let mut out = format!("{CONN_HEADER}[{}]\n", snapshot.process.workers);
    each(snapshot, backend, |proxy, server| {
        let (address, port) = endpoint(&server.address);
        let (used, idle) = (server.work.current, server.work.idle);
        let _ = write!(
            out,
            "{}/{} {}/{} {address} {port} - {} {used} {used} {} {used} 0 0 {idle} {} {idle}",
            proxy.name,
            server.name,
            proxy.iid,
            server.sid,
            server.pool_idle.as_millis(),
            server.work.peak,
            server.pool_max,
        );
        for idle in &server.idle_by_worker {
            let _ = write!(out, " {idle}");
        }
        out.push('\n');
    })?;
    Ok(out)
}

const CONN_HEADER: &str = "# bkname/svname bkid/svid addr port - purge_delay served used_cur \
used_max need_est idle_sess unsafe_nb safe_nb idle_lim idle_cur idle_per_thr";

/// `show backend`.
pub(crate) fn backends(snapshot: &Snapshot) -> String {
    let mut out = String::from("# name\n");
    for proxy in snapshot
        .proxies
        .iter()
        .filter(|proxy| proxy.backend.is_some())
    {
        out.push_str(&proxy.name);
        out.push('\n');
    }
    out
}

/// Calls `write` for the servers of a backend, given by name or `#iid`, or of all.
fn each(
    snapshot: &Snapshot,
    backend: Option<&str>,
    mut write: impl FnMut(&Proxy, &ServerRow),
) -> Result<(), &'static str> {
    let mut found = backend.is_none();
    for proxy in &snapshot.proxies {
        let Some(row) = &proxy.backend else {
            continue;
        };
        if backend.is_some_and(|word| *word != *proxy.name && word != format!("#{}", proxy.iid)) {
            continue;
        }
        found = true;
        for server in &row.servers {
            write(proxy, server);
        }
    }
    if found { Ok(()) } else { Err(NO_BACKEND) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::testing::snapshot;

    #[test]
    fn state_has_25_columns() {
        let text = servers_state(&snapshot(), None).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1");
        assert_eq!(lines[1].strip_prefix("# ").unwrap().split(' ').count(), 25);
        for line in &lines[2..] {
            assert_eq!(line.split(' ').count(), 25, "{line}");
        }
        assert_eq!(lines.len(), 2 + 4);
    }

    #[test]
    fn state_lines_are_haproxys() {
        let text = servers_state(&snapshot(), Some("web")).unwrap();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "4 web 1 s1 127.0.0.1 2 0 10 10 60 15 3 4 6 0 0 0 - 1 - 0 0 - - 0",
                "4 web 2 s2 127.0.0.1 0 0 10 10 50 8 2 0 6 0 0 0 - 2 - 0 9 - - 0",
                "4 web 3 s3 127.0.0.1 0 1 5 10 40 1 0 2 14 0 0 0 - 3 - 0 0 - - 0",
            ]
        );
        let text = servers_state(&snapshot(), Some("#2")).unwrap();
        assert_eq!(
            text.lines().nth(2).unwrap(),
            "2 db 1 t1 - 2 8 1 1 60 1 0 2 0 0 0 0 - 0 - 0 0 - - 0"
        );
        assert_eq!(servers_state(&snapshot(), Some("none")), Err(NO_BACKEND));
    }

    #[test]
    fn conn_has_as_many_columns_as_its_header_and_workers() {
        let text = servers_conn(&snapshot(), Some("web")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("idle_cur idle_per_thr[2]"));
        assert_eq!(
            lines[1],
            "web/s1 4/1 127.0.0.1 1 - 5000 2 2 7 2 0 0 3 256 3 1 2"
        );
        let columns = lines[0].strip_prefix("# ").unwrap().split(' ').count();
        assert_eq!(lines[1].split(' ').count(), columns - 1 + 2);
    }

    #[test]
    fn backends_are_named_one_per_line() {
        assert_eq!(backends(&snapshot()), "# name\ndb\nweb\n");
    }
}
