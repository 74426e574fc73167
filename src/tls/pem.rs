//! PEM files: chains, keys, authorities; and which files of a directory are meant.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// Larger than any chain or bundle of authorities.
const BYTES_MAX: u64 = 16 << 20;

/// Files with certificates behind `paths`, in order; those of a directory by name.
///
/// Of a directory all `*.pem`, `*.crt` and `*.cer` are meant but hidden ones. Where a
/// `fullchain.pem` lies, as certbot leaves it, `cert.pem`, `chain.pem` and
/// `privkey.pem` are its parts.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, TlsError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |error| TlsError::Read {
            path: path.clone(),
            error,
        };
        let entries = fs::read_dir(path).map_err(unreadable)?;
        let mut inside = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        inside.sort();
        let is_certbot = inside.contains(&path.join("fullchain.pem"));
        inside.retain(|file| is_meant(file, is_certbot));
        if inside.is_empty() {
            return Err(TlsError::content(
                path,
                "no *.pem, *.crt or *.cer in this directory",
            ));
        }
        files.append(&mut inside);
    }
    Ok(files)
}

fn is_meant(file: &Path, is_certbot: bool) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    let extension = file.extension().and_then(|extension| extension.to_str());
    let is_part = |name| is_certbot && matches!(name, "cert.pem" | "chain.pem" | "privkey.pem");
    matches!(extension, Some("pem" | "crt" | "cer"))
        && name.is_some_and(|name| !name.starts_with('.') && !is_part(name))
        && file.is_file()
}

/// A chain and its key. The key stands in `path` itself, in `key`, or beside it: for
/// `site.pem` in `site.pem.key` or `site.key`, for `fullchain.pem` in `privkey.pem`.
pub(super) fn pair(
    path: &Path,
    key: Option<&Path>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let text = read(path)?;
    let chain = certificates(path, &text)?;
    if chain.is_empty() {
        return Err(TlsError::content(path, "no certificate in this file"));
    }
    if let Some(key) = key {
        return Ok((chain, private_key(key, &read(key)?)?));
    }
    if has_key(&text) {
        return Ok((chain, private_key(path, &text)?));
    }
    let beside = beside(path);
    match beside.iter().find(|key| key.is_file()) {
        Some(key) => Ok((chain, private_key(key, &read(key)?)?)),
        None => Err(TlsError::content(
            path,
            format!(
                "no private key in this file, and none beside it: looked for {}",
                names(&beside)
            ),
        )),
    }
}

/// Where the key of a chain is looked for.
pub(super) fn beside(path: &Path) -> Vec<PathBuf> {
    let mut with_key = path.as_os_str().to_owned();
    with_key.push(".key");
    let mut keys = vec![PathBuf::from(with_key), path.with_extension("key")];
    if path.file_name().is_some_and(|name| name == "fullchain.pem") {
        keys.push(path.with_file_name("privkey.pem"));
    }
    keys
}

/// The authorities in a file.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path, &read(path)?)? {
        store
            .add(certificate)
            .map_err(|error| TlsError::content(path, format!("not an authority: {error}")))?;
    }
    if store.is_empty() {
        return Err(TlsError::content(path, "no certificate in this file"));
    }
    Ok(store)
}

/// The bytes of a file, for a mark of its content.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = || {
        let file = fs::File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        let mut text = Vec::new();
        file.take(BYTES_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > BYTES_MAX {
            return Err(std::io::Error::other("larger than 16 MiB"));
        }
        Ok(text)
    };
    read().map_err(|error| TlsError::Read {
        path: path.to_path_buf(),
        error,
    })
}

/// Files that were read, to be read again once they hold something else.
#[derive(Debug)]
pub(super) struct Watched {
    files: Vec<PathBuf>,
    mark: AtomicU64,
    content: AtomicU64,
}

impl Watched {
    /// As they are now: to be made before they are read.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        Self {
            mark: AtomicU64::new(mark(files.iter().cloned())),
            content: AtomicU64::new(content(&files)),
            files,
        }
    }

    /// Whether they hold something else than when they were looked at last.
    pub(super) fn have_changed(&self) -> bool {
        let mark = mark(self.files.iter().cloned());
        if self.mark.swap(mark, Ordering::Relaxed) == mark {
            return false;
        }
        let content = content(&self.files);
        self.content.swap(content, Ordering::Relaxed) != content
    }

    /// What they hold could not be taken: the next look finds them changed.
    pub(super) fn refuse(&self) {
        self.mark.store(0, Ordering::Relaxed);
        self.content.store(0, Ordering::Relaxed);
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

fn content(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// Tells whether any of these files has changed, without reading them: a thousand
/// are looked at every few seconds. What was written just now may not be whole, so
/// that its mark is never the same twice.
pub(super) fn mark(files: impl Iterator<Item = PathBuf>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    for file in files {
        match fs::metadata(&file) {
            Ok(meta) => {
                let changed = (meta.ctime(), meta.ctime_nsec());
                (meta.dev(), meta.ino(), meta.size(), changed).hash(&mut hasher);
                let changed = Duration::new(changed.0 as u64, changed.1 as u32);
                if now.saturating_sub(changed) < YOUNG {
                    now.hash(&mut hasher);
                }
            }
            Err(error) => error.raw_os_error().hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// A file is whole once nothing was written to it for this long.
const YOUNG: Duration = Duration::from_millis(100);

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::content(path, format!("not PEM: {error}")))
}

fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let encrypted = b"ENCRYPTED PRIVATE KEY";
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        let is_encrypted = memchr::memmem::find(text, encrypted).is_some();
        let what = match is_encrypted {
            true => "the key is encrypted; write it out with `openssl pkey`".to_owned(),
            false => format!("no private key: {error}"),
        };
        TlsError::content(path, what)
    })
}

fn has_key(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"PRIVATE KEY-----").is_some()
}

fn names(paths: &[PathBuf]) -> String {
    let names = paths.iter().map(|path| path.display().to_string());
    names.collect::<Vec<_>>().join(", ")
}
