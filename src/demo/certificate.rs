//! The certificate of the demo.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// A certificate that is thrown away at the end: nobody has reason to trust it.
pub(super) struct Certificate {
    /// Chain and key in one file.
    pub(super) path: PathBuf,
}

impl Certificate {
    /// Makes one for this machine; the port tells demos apart.
    pub(super) fn write(port: u16) -> io::Result<Self> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("rlb-demo-{port}.pem"));
        // Of another demo that did not end in order; never through a link of somebody else's.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let text = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
        io::Write::write_all(&mut file, text.as_bytes())?;
        Ok(Self { path })
    }

    /// It outlives this process.
    pub(super) fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Nothing depends on it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
