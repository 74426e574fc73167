//! Where running and written state differ, and the way back.

use std::time::{Duration, SystemTime};

use super::Control;
use super::overrides::ServerOverride;
use super::refusal::Refusal;

/// One value that runs otherwise than it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverrideRow {
    /// `web/s1`, or the name of a frontend.
    pub(crate) object: String,
    /// Which value: `weight`, `state`, `address`, ...
    pub(crate) what: &'static str,
    /// As in file or source; `None` = not there.
    pub(crate) written: Option<String>,
    /// As it runs.
    pub(crate) running: String,
    /// When it was set.
    pub(crate) since: SystemTime,
    /// The words that set it.
    pub(crate) by: String,
}

impl Control {
    /// Where running and written state differ.
    pub(crate) fn overrides(&self) -> Vec<OverrideRow> {
        let differences = self.differences.borrow();
        let rows = differences.iter().map(|difference| OverrideRow {
            object: difference.object.to_string(),
            what: difference.what,
            written: difference.written.clone(),
            running: difference.set.clone(),
            since: SystemTime::UNIX_EPOCH + Duration::from_secs(difference.at),
            by: difference.by.clone(),
        });
        rows.collect()
    }

    /// `clear override b/s`: as written again; a server that was added leaves, one
    /// that was deleted comes back.
    pub(crate) async fn clear_override(&self, backend: &str, server: &str) -> Result<(), Refusal> {
        self.change(format!("clear override {backend}/{server}"), |edit| {
            let key = edit.key(backend, server)?;
            *edit.inputs.overrides.server_mut(backend, &key) = ServerOverride::default();
            Ok(None)
        })
        .await
    }

    /// `clear override f`, of a frontend: as written again.
    pub(crate) async fn clear_frontend_override(&self, frontend: &str) -> Result<(), Refusal> {
        self.change(format!("clear override {frontend}"), |edit| {
            let frontends = &edit.inputs.config.frontends;
            if !frontends.iter().any(|f| *f.name == *frontend) {
                return Err(Refusal::NoSuchFrontend);
            }
            edit.inputs.overrides.frontends.remove(frontend);
            Ok(None)
        })
        .await
    }

    /// `clear overrides`: everything as written again; how many servers and
    /// frontends had some.
    pub(crate) async fn clear_overrides(&self) -> Result<usize, Refusal> {
        let mut cleared = 0;
        self.change("clear overrides".to_owned(), |edit| {
            cleared = std::mem::take(&mut edit.inputs.overrides).len();
            Ok(None)
        })
        .await?;
        Ok(cleared)
    }
}
