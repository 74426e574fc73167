//! Sessions, as the workers name them, and their end.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Control;
use super::apply::ask;
use super::refusal::Refusal;
use crate::state::WorkerId;
use crate::worker::{Order, SessionRow};

/// A worker that does not answer within this is not asked any longer.
const ANSWER_MAX: Duration = Duration::from_secs(1);

impl Control {
    /// Every session of every worker that answers in time.
    pub(crate) async fn list_sessions(&self) -> Vec<SessionRow> {
        let asked = ask(&self.workers, |done| Order::ListSessions { done }).await;
        asked
            .into_iter()
            .filter_map(|(_, rows)| rows)
            .flatten()
            .collect()
    }

    /// `shutdown sessions server`: how many were ended.
    ///
    /// # Errors
    /// No such backend or server.
    pub(crate) async fn shutdown_sessions_server(
        &self,
        backend: &str,
        server: &str,
    ) -> Result<usize, Refusal> {
        let generation = self.generation();
        let backend = generation.backend(backend).ok_or(Refusal::NoSuchBackend)?;
        let server = backend.server(server).ok_or(Refusal::NoSuchServer)?.id();
        let ended = ask(&self.workers, |done| Order::CloseServer {
            server,
            asked: true,
            done,
        })
        .await;
        Ok(ended.into_iter().filter_map(|(_, ended)| ended).sum())
    }

    /// `shutdown session`.
    ///
    /// # Errors
    /// The worker has no such session, or does not answer.
    pub(crate) async fn shutdown_session(
        &self,
        worker: WorkerId,
        index: u32,
    ) -> Result<(), Refusal> {
        let mut workers = self.workers.iter();
        let worker = workers
            .find(|w| w.id == worker)
            .ok_or(Refusal::NoSuchSession)?;
        let (done, answer) = oneshot::channel();
        let index = Some(index);
        let asked = async {
            worker
                .orders
                .send(Order::KillSession { index, done })
                .await
                .ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(ANSWER_MAX, asked).await {
            Ok(Some(1..)) => Ok(()),
            Ok(_) => Err(Refusal::NoSuchSession),
            Err(_) => Err(Refusal::Late(vec![worker.id.0])),
        }
    }
}
