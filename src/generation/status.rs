//! What a server's state is called: HAProxy's words, for the log, the socket and the page.

use std::io;

use super::Server;
use crate::config::ServerAddress;
use crate::state::{Admin, CheckCode, LastCheck, Operational};

/// The status of a server in HAProxy's words: those of [`status_text`], `MAINT`,
/// `DRAIN`, `no check`.
pub(crate) fn status(server: &Server) -> String {
    let state = &server.state;
    if state.is_refused() && state.admin() == Admin::Ready {
        return "DOWN".to_owned();
    }
    let operational = state.operational();
    let checked = match server.check.as_ref().filter(|_| server.check_enabled) {
        Some(check) => status_text(operational, state.health(), check.rise, check.fall),
        None => match operational {
            Operational::Up => "no check",
            Operational::Stopping => "NOLB",
            Operational::Down => "DOWN",
        }
        .to_owned(),
    };
    match (state.admin(), operational) {
        (Admin::Maint, _) if matches!(server.address, ServerAddress::Name(..)) => {
            "MAINT (resolution)".to_owned()
        }
        (Admin::Maint, _) => "MAINT".to_owned(),
        (Admin::Drain, Operational::Up) => match checked.strip_prefix("UP") {
            Some(progress) => format!("DRAIN{progress}"),
            None => "DRAIN".to_owned(),
        },
        _ => checked,
    }
}

/// The status of a checked server in HAProxy's words: `UP`, `UP 1/3` (failures
/// left before it is down, of `fall`), `DOWN`, `DOWN 1/2` (passes so far, of
/// `rise`), `NOLB`, `NOLB 1/3`.
pub(crate) fn status_text(operational: Operational, health: u32, rise: u32, fall: u32) -> String {
    let up = |word: &str| match health + 1 {
        above if above >= rise + fall => word.to_owned(),
        above => format!("{word} {}/{fall}", above.saturating_sub(rise)),
    };
    match operational {
        Operational::Up => up("UP"),
        Operational::Stopping => up("NOLB"),
        Operational::Down if health == 0 => "DOWN".to_owned(),
        Operational::Down => format!("DOWN {health}/{rise}"),
    }
}

/// What a code alone does not say: the system's words for an errno, the field's for a status.
pub(crate) fn check_info(check: LastCheck) -> String {
    match check.code {
        CheckCode::L4Con | CheckCode::SockErr if check.errno > 0 => {
            let error = io::Error::from_raw_os_error(i32::from(check.errno)).to_string();
            match error.split_once(" (os error") {
                Some((words, _)) => words.to_owned(),
                None => error,
            }
        }
        CheckCode::L7Sts => http::StatusCode::from_u16(check.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default()
            .to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Check;
    use crate::generation::testing::{backend, server, serving};

    #[test]
    fn status_is_in_the_words_of_haproxy() {
        let mut web = backend("web", vec![server(1, 1)]);
        web.check = Some(Check::default());
        let generation = serving(vec![web]);
        let checked = &generation.backends[0].servers[0];
        let state = &checked.state;
        state.set_health(4);
        assert_eq!(status(checked), "UP");
        state.set_admin(Admin::Drain, 1);
        assert_eq!(status(checked), "DRAIN");
        state.set_health(3);
        assert_eq!(status(checked), "DRAIN 2/3");
        state.set_operational(Operational::Down, 1);
        state.set_health(1);
        assert_eq!(status(checked), "DOWN 1/2");
        state.set_admin(Admin::Maint, 1);
        assert_eq!(status(checked), "MAINT");
        let unchecked = serving(vec![backend("web", vec![server(1, 1)])]);
        let unchecked = &unchecked.backends[0].servers[0];
        assert_eq!(status(unchecked), "no check");
        unchecked.state.set_admin(Admin::Drain, 1);
        assert_eq!(status(unchecked), "DRAIN");
    }

    #[test]
    fn forced_stopping_is_nolb() {
        assert_eq!(status_text(Operational::Stopping, 4, 2, 3), "NOLB");
        assert_eq!(status_text(Operational::Stopping, 2, 2, 3), "NOLB 1/3");
    }
}
