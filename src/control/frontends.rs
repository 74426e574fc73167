//! What may be asked of a frontend at run time; as in `change.rs`.

use super::Control;
use super::overrides::Set;
use super::refusal::Refusal;

impl Control {
    /// `enable frontend`, `disable frontend`: listeners open and close, sessions go on.
    pub(crate) async fn set_frontend_enabled(
        &self,
        frontend: &str,
        enabled: bool,
    ) -> Result<(), Refusal> {
        let word = if enabled { "enable" } else { "disable" };
        self.change(format!("{word} frontend {frontend}"), |edit| {
            let stamp = edit.stamp.clone();
            let (_, set) = edit.frontend(frontend)?;
            if set.paused.is_none() == enabled {
                return Err(Refusal::AlreadySo);
            }
            set.paused = (!enabled).then(|| Set::new((), &stamp));
            Ok(None)
        })
        .await
    }

    /// `shutdown frontend`: it leaves, its sessions drain.
    pub(crate) async fn shutdown_frontend(&self, frontend: &str) -> Result<(), Refusal> {
        self.change(format!("shutdown frontend {frontend}"), |edit| {
            let stamp = edit.stamp.clone();
            let (_, set) = edit.frontend(frontend)?;
            set.shut = Some(Set::new((), &stamp));
            Ok(None)
        })
        .await
    }

    /// `set maxconn frontend`; 0 = only the limit of the process.
    pub(crate) async fn set_frontend_maxconn(
        &self,
        frontend: &str,
        maxconn: usize,
    ) -> Result<(), Refusal> {
        self.change(
            format!("set maxconn frontend {frontend} {maxconn}"),
            |edit| {
                let stamp = edit.stamp.clone();
                let (written, set) = edit.frontend(frontend)?;
                let value = (maxconn > 0).then_some(maxconn);
                Set::put(&mut set.maxconn, value, &written, &stamp);
                Ok(None)
            },
        )
        .await
    }
}
