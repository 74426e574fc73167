//! What an exchange comes to in the counters, whatever carried it.

use std::rc::Rc;

use super::Shard;
use super::connect;
use super::end::{Cause, SessionEnd};
use super::upstream::Use;
use crate::generation::Frontend;
use crate::state::{BackendId, Counters, FrontendCounters, response_class};

/// One request and its answer, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Account {
    /// What the client was told; 0 = nothing.
    pub(crate) status: u16,
    /// How it ended.
    pub(crate) end: SessionEnd,
    /// It was sent a second time, on a fresh connection.
    pub(crate) resent: bool,
    /// From the client, heads included.
    pub(crate) bytes_in: u64,
    /// To the client, heads included.
    pub(crate) bytes_out: u64,
    /// Those of them that went through a pipe.
    pub(crate) spliced_out: u64,
    /// Times of the shard's clock.
    pub(crate) started_us: u64,
    pub(crate) connected_us: u64,
    pub(crate) answered_us: u64,
}

impl Account {
    /// Counts it for its frontend and for its server, or for the backend when it
    /// reached none.
    pub(crate) fn count(
        &self,
        shard: &Rc<Shard>,
        (frontend, counters): (&Frontend, &FrontendCounters),
        server: Option<&Use>,
        backend: Option<BackendId>,
    ) {
        let class = response_class(self.status);
        counters.requests.add(1);
        counters.bytes_in.add(self.bytes_in);
        counters.bytes_out.add(self.bytes_out);
        counters.spliced_out.add(self.spliced_out);
        if self.status != 0 {
            counters.responses[class].add(1);
        }
        match (server, backend) {
            (Some(server), _) => self.count_in(&server.counters, shard),
            (None, Some(backend)) => {
                connect::backend_counters(shard, backend, |own| self.count_in(own, shard));
            }
            (None, None) => {}
        }
        tracing::trace!(
            frontend = &*frontend.config.name,
            backend = server.map(|server| &*server.backend),
            server = server.map(|server| &*server.name),
            status = self.status,
            end = std::str::from_utf8(&self.end.letters()).unwrap_or_default(),
            "exchange",
        );
    }

    fn count_in(&self, counters: &Counters, shard: &Shard) {
        counters.sessions.add(1);
        counters.requests.add(1);
        counters.retries.add(u64::from(self.resent));
        counters.bytes_in.add(self.bytes_in);
        counters.bytes_out.add(self.bytes_out);
        if self.status != 0 {
            counters.responses[response_class(self.status)].add(1);
        }
        match self.end.cause {
            Cause::Internal => counters.internal_errors.add(1),
            Cause::Client | Cause::ClientTimeout => counters.client_aborts.add(1),
            Cause::Server | Cause::ServerTimeout => counters.server_aborts.add(1),
            _ => {}
        }
        let times = &counters.times;
        if self.answered_us > self.started_us {
            times.connect.add(self.connected_us - self.started_us);
            times.response.add(self.answered_us - self.connected_us);
        }
        times.total.add(shard.clock.now_us() - self.started_us);
    }
}
