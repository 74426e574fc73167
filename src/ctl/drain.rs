//! `rlb ctl drain B/S [--wait[=30s]]`.

use std::time::{Duration, Instant};

use super::address::Address;
use super::answer::{Answer, ask};
use super::{ANSWER_MAX, Failure, Wait, line};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Takes new work away from the server, and waits until the last session is gone.
pub(super) fn drain(
    address: &Address,
    server: &str,
    wait: Option<Wait>,
) -> Result<String, Failure> {
    let command = line(&["set", "server", server, "state", "drain"]);
    if let Some(sentence) = ask(address, &command, ANSWER_MAX)?.refusal {
        return Err(Failure::Refused(sentence));
    }
    let Some(Wait(patience)) = wait else {
        return Ok(String::new());
    };
    let deadline = patience.map(|patience| Instant::now() + patience);
    loop {
        let Answer { text, refusal } = ask(address, "show servers conn", ANSWER_MAX)?;
        if let Some(sentence) = refusal {
            return Err(Failure::Refused(sentence));
        }
        // A server that is gone has no sessions.
        let left = used(&text, server).unwrap_or(0);
        if left == 0 {
            return Ok(String::new());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let plural = if left == 1 { "" } else { "s" };
            let sentence = format!("{left} session{plural} left on {server}; it stays in drain");
            return Err(Failure::Refused(sentence));
        }
        pause();
    }
}

/// Sessions of this server, from `show servers conn`.
fn used(table: &str, server: &str) -> Option<u64> {
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next()?.trim_start_matches("# ").split(' ').collect();
    let used = header.iter().position(|name| *name == "used_cur")?;
    let (backend, server) = server.split_once('/')?;
    lines.find_map(|line| {
        let cells: Vec<&str> = line.split(' ').collect();
        let names = cells.first()?.split_once('/')?;
        let ids = cells.get(1)?.split_once('/')?;
        let is = |word: &str, name: &str, id: &str| {
            word.strip_prefix('#').map_or(word == name, |n| n == id)
        };
        if is(backend, names.0, ids.0) && is(server, names.1, ids.1) {
            return cells.get(used)?.parse().ok();
        }
        None
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process has nothing else to do"
)]
fn pause() {
    std::thread::sleep(LOOK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_found_by_name_and_number() {
        let table = "# bkname/svname bkid/svid addr port - purge_delay served used_cur used_max\n\
                     web/s1 4/1 10.0.0.1 80 - 5000 9 2 3\n\
                     web/s2 4/2 10.0.0.1 80 - 5000 9 7 8\n";
        assert_eq!(used(table, "web/s2"), Some(7));
        assert_eq!(used(table, "#4/#1"), Some(2));
        assert_eq!(used(table, "web/#2"), Some(7));
        assert_eq!(used(table, "web/s3"), None);
    }
}
