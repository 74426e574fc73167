//! Which server gets the next piece of work.

use std::sync::Arc;

use super::{Backend, Server};
use crate::state::ServerId;

/// Tickets taken before the whole schedule is looked at once: with one usable
/// server of 1,000, tickets alone needed up to 6,886 tries.
const TICKETS_MAX: usize = 16;

impl Backend {
    /// A usable server, or `None` if there is none. `avoid` is taken only if
    /// there is no other (the server a failed try was sent to).
    ///
    /// An unusable slot costs another ticket, never a walk ahead from the first
    /// one: walking would give the whole share of a server that is down to its
    /// successor (with 5:1:1 and the heavy one down .714/.286 instead of .5/.5).
    #[inline]
    pub(crate) fn pick(&self, avoid: Option<ServerId>) -> Option<&Arc<Server>> {
        if !self.active.is_empty() {
            for _ in 0..TICKETS_MAX {
                let server = self.scheduled(self.state.ticket());
                if server.state.is_usable() && Some(server.id()) != avoid {
                    return Some(server);
                }
            }
        }
        self.scan(avoid)
    }

    #[inline]
    fn scheduled(&self, ticket: u64) -> &Arc<Server> {
        &self.servers[self.active[self.schedule.slot(ticket)] as usize]
    }

    /// Every active server once from the last ticket on, then backups in order, then `avoid` itself.
    #[cold]
    fn scan(&self, avoid: Option<ServerId>) -> Option<&Arc<Server>> {
        let usable = |index: &u32| {
            let server = &self.servers[*index as usize];
            (server.state.is_usable() && Some(server.id()) != avoid).then_some(server)
        };
        let start = match self.active.len() {
            0 => 0,
            len => (self.state.ticket() % len as u64) as usize,
        };
        let (before, after) = self.active.split_at(start);
        let any = after.iter().chain(before).find_map(usable);
        any.or_else(|| self.backup.iter().find_map(usable))
            .or_else(|| {
                let avoided = |server: &&Arc<Server>| Some(server.id()) == avoid;
                self.servers
                    .iter()
                    .find(avoided)
                    .filter(|server| server.state.is_usable() && server.weight > 0)
            })
    }
}
