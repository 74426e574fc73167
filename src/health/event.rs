//! What the checks found out, and the words for it.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::generation::{Backend, Generation, Server};
use crate::state::{Admin, LastCheck, Operational, ServerId};

/// A server changed its operational state. The status byte says so already;
/// what is left to do is to log it and to build a new schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthEvent {
    /// Its backend.
    pub(crate) backend: Arc<str>,
    /// Its name there.
    pub(crate) server: Arc<str>,
    /// Who it is.
    pub(crate) id: ServerId,
    /// State before.
    pub(crate) from: Operational,
    /// State now.
    pub(crate) to: Operational,
    /// The check that decided it.
    pub(crate) check: LastCheck,
    /// More about the check, for people; may be empty.
    pub(crate) text: String,
}

impl HealthEvent {
    /// HAProxy's line for it. Counts are those of `generation` now.
    pub(crate) fn log_line(&self, generation: &Generation) -> String {
        let backend = generation.backend(&self.backend);
        let server = backend.and_then(|backend| backend.server(&self.server));
        let kind = match server.is_some_and(|server| server.backup) {
            true => "Backup Server",
            false => "Server",
        };
        let word = match self.to {
            Operational::Up => "UP",
            Operational::Down => "DOWN",
            Operational::Stopping => "stopping",
        };
        let mut line = format!(
            "{kind} {}/{} is {word}, {}",
            self.backend,
            self.server,
            self.reason()
        );
        let (active, backup) = backend.map_or((0, 0), |backend| usable(backend));
        let on_backup = match (active, backup) {
            (0, 1..) => " Running on backup.",
            _ => "",
        };
        let came = server.filter(|_| self.to == Operational::Up);
        let queue =
            backend.map(|backend| Requeued::of(backend, server.map(|server| &**server), came));
        let Requeued { moved, left } = queue.unwrap_or_default();
        let _ = match self.to {
            Operational::Down => {
                let sessions = server.map_or(0, |server| {
                    server.state.counters.sum(|counters| counters.current.get())
                });
                write!(
                    line,
                    " {active} active and {backup} backup servers left.{on_backup} \
                     {sessions} sessions active, {moved} requeued, {left} remaining in queue."
                )
            }
            Operational::Up | Operational::Stopping => write!(
                line,
                " {active} active and {backup} backup servers online.{on_backup} \
                 {moved} sessions requeued, {left} total in queue."
            ),
        };
        line
    }

    /// `backend web has no server available!`, if this event made it so.
    pub(crate) fn outage_line(&self, generation: &Generation) -> Option<String> {
        let backend = generation.backend(&self.backend)?;
        let out = self.to != Operational::Up && usable(backend) == (0, 0);
        out.then(|| format!("backend {} has no server available!", self.backend))
    }

    fn reason(&self) -> String {
        let check = &self.check;
        let mut reason = format!("reason: {}", check.code.description());
        if check.status > 0 {
            let _ = write!(reason, ", code: {}", check.status);
        }
        if !self.text.is_empty() {
            let _ = write!(reason, ", info: \"{}\"", self.text);
        }
        let _ = write!(reason, ", check duration: {}ms.", check.duration_ms);
        reason
    }
}

/// HAProxy's line for what the operator wants of a server, once it is in force.
pub(crate) fn admin_line(backend: &Backend, server: &Server, from: Admin) -> String {
    let kind = if server.backup {
        "Backup Server"
    } else {
        "Server"
    };
    let up = match server.state.operational() {
        Operational::Down => "DOWN",
        _ => "UP",
    };
    let what = match (from, server.state.admin()) {
        (_, Admin::Maint) => "is going DOWN for maintenance".to_owned(),
        (Admin::Maint, Admin::Drain) => format!("is {up}/DRAIN (leaving forced maintenance)"),
        (Admin::Maint, Admin::Ready) => format!("is {up}/READY (leaving forced maintenance)"),
        (_, Admin::Drain) => "enters drain state".to_owned(),
        (_, Admin::Ready) => {
            return format!(
                "{kind} {}/{} is {up} (leaving forced drain).",
                backend.name, server.name
            );
        }
    };
    let mut line = format!("{kind} {}/{} {what}.", backend.name, server.name);
    let (active, backup) = usable(backend);
    let on_backup = match (active, backup) {
        (0, 1..) => " Running on backup.",
        _ => "",
    };
    let Requeued { moved, left } = Requeued::of(backend, Some(server), None);
    // Writing to a String cannot fail.
    let _ = match server.state.admin() {
        Admin::Maint => {
            let counters = &server.state.counters;
            let sessions = counters.sum(|counters| counters.current.get());
            write!(
                line,
                " {active} active and {backup} backup servers left.{on_backup} \
                 {sessions} sessions active, {moved} requeued, {left} remaining in queue."
            )
        }
        Admin::Drain => write!(
            line,
            " {active} active and {backup} backup servers online.{on_backup} \
             {moved} sessions requeued, {left} total in queue."
        ),
        Admin::Ready => return line,
    };
    line
}

/// What becomes of those who wait in a backend's queue, and of the clients of a server
/// that wait for it alone. HAProxy counts only these.
#[derive(Debug, Clone, Copy, Default)]
struct Requeued {
    /// Leave it now: for the server that came, because nobody is usable any more, or
    /// because their server does not keep them.
    moved: usize,
    /// Wait on.
    left: usize,
}

impl Requeued {
    fn of(backend: &Backend, server: Option<&Server>, came: Option<&Arc<Server>>) -> Self {
        let waiting = backend.state.queue.len();
        let room = match came {
            _ if usable(backend) == (0, 0) => usize::MAX,
            None => 0,
            Some(server) => server.state.slots.room() as usize,
        };
        let moved = waiting.min(room);
        let loses = server.filter(|server| !server.state.keeps_clients());
        Self {
            moved: moved + loses.map_or(0, |server| server.state.line.len()),
            left: waiting - moved,
        }
    }
}

/// Usable servers: active, backup.
fn usable(backend: &Backend) -> (usize, usize) {
    let usable = |backup| {
        let servers = backend.servers.iter().enumerate();
        let kind = servers
            .filter(|(index, server)| server.backup == backup && backend.is_weighted(*index));
        kind.filter(|(_, server)| server.state.is_usable()).count()
    };
    (usable(false), usable(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Check;
    use crate::generation::check_info;
    use crate::generation::testing::{backend, server, serving};
    use crate::state::CheckCode;

    fn checked() -> Generation {
        let mut backup = server(3, 1);
        backup.backup = true;
        let mut web = backend("web", vec![server(1, 1), server(2, 1), backup]);
        web.check = Some(Check::default());
        serving(vec![web])
    }

    fn event(server: &str, to: Operational, check: LastCheck) -> HealthEvent {
        HealthEvent {
            backend: "web".into(),
            server: server.into(),
            id: ServerId::next(),
            from: Operational::Up,
            to,
            check,
            text: check_info(check),
        }
    }

    const REFUSED: LastCheck = LastCheck {
        code: CheckCode::L4Con,
        status: 0,
        errno: 111,
        duration_ms: 0,
    };

    #[test]
    fn what_becomes_of_who_waits_is_told() {
        let mut servers = [server(1, 1), server(2, 1)];
        for server in &mut servers {
            server.maxconn = Some(2);
        }
        let generation = serving(vec![backend("web", servers.to_vec())]);
        let web = &generation.backends[0];
        let waiting: Vec<_> = (0..3).map(|_| web.state.queue.join(9)).collect();
        let states = [&web.servers[0].state, &web.servers[1].state];
        let down = |name: &str| event(name, Operational::Down, REFUSED).log_line(&generation);
        states[0].set_operational(Operational::Down, 1);
        assert!(down("s1").ends_with("0 sessions active, 0 requeued, 3 remaining in queue."));
        states[1].set_operational(Operational::Down, 1);
        assert!(down("s2").ends_with("0 sessions active, 3 requeued, 0 remaining in queue."));
        states[0].set_operational(Operational::Up, 1);
        let up = event("s1", Operational::Up, REFUSED).log_line(&generation);
        assert!(
            up.ends_with("2 sessions requeued, 1 total in queue."),
            "{up}"
        );
        states[0].set_admin(Admin::Drain, 1);
        let drained = admin_line(web, &web.servers[0], Admin::Ready);
        assert!(drained.ends_with("3 sessions requeued, 0 total in queue."));
        drop(waiting);
        // A server that drains keeps its own.
        let _own = web.servers[0].state.line.join(9);
        let drained = admin_line(web, &web.servers[0], Admin::Ready);
        assert!(drained.ends_with("0 sessions requeued, 0 total in queue."));
        states[0].set_admin(Admin::Maint, 1);
        let gone = admin_line(web, &web.servers[0], Admin::Drain);
        assert!(gone.ends_with("0 sessions active, 1 requeued, 0 remaining in queue."));
    }

    #[test]
    fn lines_are_those_of_haproxy() {
        let generation = checked();
        let servers = &generation.backends[0].servers;
        servers[0].state.set_operational(Operational::Down, 1);
        assert_eq!(
            event("s1", Operational::Down, REFUSED).log_line(&generation),
            "Server web/s1 is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", \
             check duration: 0ms. 1 active and 1 backup servers left. \
             0 sessions active, 0 requeued, 0 remaining in queue."
        );
        servers[1].state.set_operational(Operational::Down, 1);
        let failed = LastCheck {
            code: CheckCode::L7Sts,
            status: 500,
            errno: 0,
            duration_ms: 7,
        };
        let out = event("s2", Operational::Down, failed);
        assert_eq!(
            out.log_line(&generation),
            "Server web/s2 is DOWN, reason: Layer7 wrong status, code: 500, \
             info: \"Internal Server Error\", check duration: 7ms. \
             0 active and 1 backup servers left. Running on backup. \
             0 sessions active, 0 requeued, 0 remaining in queue."
        );
        assert_eq!(out.outage_line(&generation), None);
        servers[2].state.set_operational(Operational::Down, 1);
        let out = event("s3", Operational::Down, REFUSED);
        assert!(
            out.log_line(&generation)
                .starts_with("Backup Server web/s3 is DOWN, ")
        );
        assert_eq!(
            out.outage_line(&generation).unwrap(),
            "backend web has no server available!"
        );
        servers[0].state.set_operational(Operational::Up, 1);
        let passed = LastCheck {
            code: CheckCode::L7Ok,
            status: 200,
            errno: 0,
            duration_ms: 1,
        };
        assert_eq!(
            event("s1", Operational::Up, passed).log_line(&generation),
            "Server web/s1 is UP, reason: Layer7 check passed, code: 200, check duration: 1ms. \
             1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue."
        );
    }

    #[test]
    fn server_that_left_meanwhile_still_has_a_line() {
        let generation = serving(Vec::new());
        let event = event("s1", Operational::Down, REFUSED);
        assert!(
            event
                .log_line(&generation)
                .contains("0 active and 0 backup")
        );
        assert_eq!(event.outage_line(&generation), None);
    }
}
