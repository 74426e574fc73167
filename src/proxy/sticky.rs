//! Sticky sessions: which server a client's cookie names, and what its answer sets.
//! The rules are HAProxy's (configuration manual 4.2 "cookie", mode `insert`; 8.5 for
//! what the log says of them).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::Shard;
use super::connect::Plan;
use super::upstream::Use;
use crate::config;
use crate::generation::{Backend, Cookies, Server};
use crate::http::{CookieDates, Crumb, DATES_MAX, RequestHead, SetCookie};
use crate::state::ServerId;

/// What a request's cookie said, where its backend has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sticky {
    /// Where the backend was found; another may stand there by the time of the answer.
    index: u32,
    said: Said,
    dates: CookieDates,
}

/// What became of a request's cookie: the third letter of HAProxy's termination state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// There was none.
    Nothing,
    /// No server has this value.
    Invalid,
    /// The server of this value must not serve.
    Down,
    /// It was not used for `maxidle`.
    Expired,
    /// It was set longer than `maxlife` ago.
    Old,
    Valid,
}

/// What an answer did with the cookie: the fourth letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Set {
    /// Nothing.
    #[default]
    No,
    Inserted,
    /// For the same server, with other dates.
    Updated,
    /// The server set one of this name, and that was left out.
    Deleted,
    /// The same, and it stayed.
    Provided,
}

impl Sticky {
    /// Reads the cookies of a request for the backend of this index, and hides the one
    /// that is ours. Also the server to stay at, if there is one.
    pub(super) fn read<'g>(
        (index, backend): (usize, &'g Backend),
        (cookies, config): (&Cookies, &config::Cookie),
        head: &mut RequestHead<'_, '_>,
        now_s: u64,
    ) -> (Self, Option<&'g Arc<Server>>) {
        let mut sticky = Self {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            said: Said::Nothing,
            dates: CookieDates::default(),
        };
        let mut hidden = None;
        let mut server = None;
        for (name, value) in head.cookies(cookies.name.as_bytes()) {
            hidden = Some(name);
            let (value, dates) = CookieDates::split(value);
            let said = match (
                too_old(dates, config, now_s),
                backend.named_by_cookie(value),
            ) {
                (Some(said), _) => said,
                (None, Some(named)) if named.state.keeps_clients() => {
                    server = Some(named);
                    sticky.dates = dates;
                    sticky.said = Said::Valid;
                    break;
                }
                (None, Some(_)) => Said::Down,
                (None, None) => Said::Invalid,
            };
            // Of several, what says most.
            if matches!(sticky.said, Said::Nothing | Said::Invalid) {
                sticky.said = said;
            }
        }
        if config.indirect {
            head.hidden_cookie = hidden;
        }
        (sticky, server)
    }

    /// Writes the head of an answer of this server with what it sets. `theirs` = whether
    /// the server sets the cookie of this name itself.
    pub(super) fn answer<H>(
        &self,
        (shard, plan): (&Shard, &Plan),
        (server, is_secure): (Option<&Use>, bool),
        head: H,
        theirs: impl FnOnce(&H, &str) -> bool,
        write: impl FnOnce(H, Option<SetCookie<'_>>),
    ) -> Set {
        shard.with_generation(|generation| {
            let backends = &generation.backends;
            let is_ours = |backend: &&Arc<Backend>| backend.state.id == plan.backend;
            let backend = backends.get(self.index as usize).filter(is_ours);
            let backend = backend.or_else(|| backends.iter().find(is_ours));
            let cookie = backend.and_then(|b| Some((b.cookies()?, b.config.cookie.as_ref()?)));
            let (Some((cookies, config)), Some(server)) = (cookie, server) else {
                write(head, None);
                return Set::No;
            };
            let has_theirs = theirs(&head, &cookies.name);
            let is_direct = plan.own == Some(server.state.id);
            let now_s = shard.clock.wall_s();
            let mut text = [0; DATES_MAX];
            let value = match has_theirs && config.preserve {
                true => None,
                false if is_direct && !self.is_to_renew(config, now_s) => None,
                false => cookies.value_of(server.state.id),
            };
            let crumb = value.map(|value| Crumb {
                value,
                suffix: self.dates(config, is_direct, now_s).write(&mut text),
                attributes: cookies.attributes(is_secure),
                private: config.nocache,
            });
            let set = match (crumb, has_theirs) {
                (Some(_), _) if is_direct => Set::Updated,
                (Some(_), _) => Set::Inserted,
                (None, true) if config.preserve => Set::Provided,
                (None, true) => Set::Deleted,
                (None, false) => Set::No,
            };
            let cookie = SetCookie {
                name: &cookies.name,
                replaces: !config.preserve,
                crumb,
            };
            write(head, Some(cookie));
            set
        })
    }

    /// Whether a cookie that is valid has other dates than it should.
    fn is_to_renew(&self, config: &config::Cookie, now_s: u64) -> bool {
        let CookieDates { last, first } = self.dates;
        let is_past = last.is_none_or(|last| u64::from(last.get()) < now_s);
        (config.maxidle.is_some() || last.is_some()) && is_past
            || config.maxlife.is_some() != first.is_some()
    }

    /// Of a cookie that is set now.
    fn dates(&self, config: &config::Cookie, is_direct: bool, now_s: u64) -> CookieDates {
        if config.maxidle.is_none() && config.maxlife.is_none() {
            return CookieDates::default();
        }
        let now = u32::try_from(now_s).ok().and_then(NonZeroU32::new);
        let first = self.dates.first.filter(|_| is_direct).or(now);
        CookieDates {
            last: now,
            first: first.filter(|_| config.maxlife.is_some()),
        }
    }

    /// The third and fourth letter of the termination state, of a request whose cookie
    /// named `own`, and that came to `server`, or tried it last.
    pub(super) fn letters(
        &self,
        (own, server): (Option<ServerId>, Option<ServerId>),
        set: Set,
    ) -> [u8; 2] {
        let said = match self.said {
            Said::Nothing => b'N',
            Said::Invalid => b'I',
            Said::Down => b'D',
            Said::Expired => b'E',
            Said::Old => b'O',
            // It could not be reached.
            Said::Valid if server.is_some() && server != own => b'D',
            Said::Valid => b'V',
        };
        let set = match set {
            Set::No => b'N',
            Set::Inserted => b'I',
            Set::Updated => b'U',
            Set::Deleted => b'D',
            Set::Provided => b'P',
        };
        [said, set]
    }
}

/// Whether a cookie has outlived itself, or comes from further ahead than clocks differ.
fn too_old(dates: CookieDates, config: &config::Cookie, now_s: u64) -> Option<Said> {
    let is_over = |date: Option<NonZeroU32>, most: Option<Duration>| {
        date.zip(most).is_some_and(|(date, most)| {
            let date = u64::from(date.get());
            now_s.saturating_sub(date) > most.as_secs() || date > now_s + AHEAD_MAX_S
        })
    };
    match () {
        () if is_over(dates.first, config.maxlife) => Some(Said::Old),
        () if is_over(dates.last, config.maxidle) => Some(Said::Expired),
        () => None,
    }
}

/// HAProxy's.
const AHEAD_MAX_S: u64 = 86_400;
