//! The pid file: for supervisors that want one.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Holds the file while the process lives.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    content: String,
}

impl PidFile {
    /// Writes our process id; whatever was there is replaced in one step.
    ///
    /// # Errors
    /// A sentence: the directory does not take it.
    pub(super) fn write(path: PathBuf) -> Result<Self, String> {
        let content = format!("{}\n", std::process::id());
        match replace(&path, &content) {
            Ok(()) => Ok(Self { path, content }),
            Err(error) => Err(format!(
                "cannot write the pid file {}: {error}; its directory has to exist and be writable",
                path.display()
            )),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A successor may have written its own by now.
        if fs::read_to_string(&self.path).is_ok_and(|now| now == self.content) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn replace(path: &Path, content: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(name);
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lives_as_long_as_its_process_unless_another_took_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rlb.pid");
        fs::write(&path, "1\n").unwrap();
        let own = PidFile::write(path.clone()).unwrap();
        let expected = format!("{}\n", std::process::id());
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(own);
        assert!(!path.exists());

        let own = PidFile::write(path.clone()).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(own);
        assert!(path.exists());
    }

    #[test]
    fn a_directory_that_is_not_there_is_said() {
        let refused = PidFile::write("/nowhere/rlb.pid".into()).unwrap_err();
        assert!(refused.contains("/nowhere/rlb.pid"), "{refused}");
    }
}
