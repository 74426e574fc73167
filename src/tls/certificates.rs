//! The certificates of a frontend: which one a client is shown, and how they are
//! exchanged while it serves.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::staple::{self, Staple};
use super::{TlsError, pem};

/// One certificate with its chain and key.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// Where it was read.
    pub(crate) path: PathBuf,
    /// Names it is good for, lower case; `*.example.com` among them.
    pub(crate) names: Box<[Box<str>]>,
    /// Unix seconds.
    pub(crate) not_before: i64,
    /// Unix seconds.
    pub(crate) not_after: i64,
    key: Arc<CertifiedKey>,
    /// What is shown beside it is too old from then on, Unix seconds.
    stapled_until: i64,
}

impl Certificate {
    fn load(path: &Path, provider: &CryptoProvider, now: i64) -> Result<Self, TlsError> {
        let (chain, key) = pem::pair(path, None)?;
        let wrong = |what: &dyn fmt::Display| TlsError::content(path, what);
        let (_, leaf) = X509Certificate::from_der(&chain[0])
            .map_err(|error| wrong(&format_args!("not a certificate: {error}")))?;
        let names = names_of(&leaf);
        let validity = leaf.validity();
        let (not_before, not_after) = (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        );
        // It is shown to be kind to clients: a certificate is good without.
        let staple = Staple::read(path, leaf.raw_serial(), now).unwrap_or_else(|error| {
            tracing::error!("{error}; the certificate is shown without it");
            None
        });
        let mut key =
            CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    wrong(&"the key is not that of the first certificate")
                }
                error => wrong(&format_args!("the key cannot be used: {error}")),
            })?;
        let stapled_until = staple.as_ref().map_or(i64::MAX, |staple| staple.until);
        key.ocsp = staple.map(|staple| staple.answer);
        Ok(Self {
            path: path.to_path_buf(),
            names,
            not_before,
            not_after,
            key: Arc::new(key),
            stapled_until,
        })
    }

    /// Whether clients see the same with both.
    fn shows_what(&self, other: &Self) -> bool {
        (&self.key.cert, &self.key.ocsp) == (&other.key.cert, &other.key.ocsp)
    }

    /// The certificate itself, then its issuers, DER.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.key.cert.iter().map(|certificate| &**certificate)
    }

    /// ECDSA and Ed25519 before RSA: a handshake costs a tenth.
    fn rank(&self) -> u8 {
        match self.key.key.algorithm() {
            SignatureAlgorithm::RSA => 1,
            _ => 0,
        }
    }

    fn suits(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }
}

/// What came of a look at the files.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    /// Files that are shown now and were not before, or in another content.
    pub(crate) taken: Vec<PathBuf>,
    /// Files that are not shown any more.
    pub(crate) gone: Vec<PathBuf>,
    /// What is refused; what was shown before stays.
    pub(crate) refused: Vec<TlsError>,
}

impl Rotation {
    /// Whether the clients of tomorrow see something else.
    pub(crate) fn is_change(&self) -> bool {
        !self.taken.is_empty() || !self.gone.is_empty()
    }
}

/// The certificates of one frontend. Handshakes read them, control exchanges them:
/// one pointer, so that a handshake sees the old set or the new one.
#[derive(Debug)]
pub(super) struct Certificates {
    current: ArcSwap<Set>,
    strict: bool,
}

impl Certificates {
    /// Reads everything behind `paths`.
    pub(super) fn load(
        paths: &[PathBuf],
        strict: bool,
        provider: &CryptoProvider,
    ) -> Result<Self, Vec<TlsError>> {
        let mut set = Set::default();
        let rotation = set.read(paths, &Set::default(), provider);
        match rotation.refused.is_empty() {
            true => Ok(Self {
                current: ArcSwap::from_pointee(set),
                strict,
            }),
            false => Err(rotation.refused),
        }
    }

    /// Reads what has changed behind `paths`; what cannot be taken stays as it was.
    pub(super) fn reload(&self, paths: &[PathBuf], provider: &CryptoProvider) -> Rotation {
        let before = self.current.load_full();
        let mut set = Set::default();
        let rotation = set.read(paths, &before, provider);
        if rotation.is_change() || set.marks != before.marks || set.bad != before.bad {
            self.current.store(Arc::new(set));
        }
        rotation
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> Vec<Arc<Certificate>> {
        self.current.load().certificates.clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.current.load();
        let schemes = hello.signature_schemes();
        let found = set.find(hello.server_name(), schemes, self.strict)?;
        Some(Arc::clone(&found.key))
    }
}

/// An immutable set of certificates.
#[derive(Debug, Default)]
struct Set {
    certificates: Vec<Arc<Certificate>>,
    /// By name, as indices; those that are cheaper to sign with first.
    exact: HashMap<Box<str>, Box<[u32]>>,
    /// As `exact`, of `*.example.com` by `example.com`.
    wildcard: HashMap<Box<str>, Box<[u32]>>,
    /// What was seen of each file, so that nothing is read twice.
    marks: HashMap<PathBuf, u64>,
    /// Files that were refused: looked at again each time.
    bad: HashSet<PathBuf>,
}

impl Set {
    /// Fills itself from files; certificates whose file is as it was are those of `before`.
    fn read(&mut self, paths: &[PathBuf], before: &Self, provider: &CryptoProvider) -> Rotation {
        let mut rotation = Rotation::default();
        let now = UnixTime::now().as_secs() as i64;
        let files = match pem::files(paths) {
            Ok(files) => files,
            Err(error) => {
                rotation.refused.push(error);
                self.certificates.clone_from(&before.certificates);
                self.marks.clone_from(&before.marks);
                self.index();
                return rotation;
            }
        };
        for file in &files {
            let known = before.certificates.iter().find(|known| known.path == *file);
            let beside = pem::beside(file).into_iter().chain([staple::beside(file)]);
            let mark = pem::mark(std::iter::once(file.clone()).chain(beside));
            self.marks.insert(file.clone(), mark);
            let is_same = before.marks.get(file) == Some(&mark)
                && known.is_none_or(|known| known.stapled_until > now);
            if let (Some(known), true) = (known, is_same && !before.bad.contains(file)) {
                self.certificates.push(Arc::clone(known));
                continue;
            }
            match Certificate::load(file, provider, now) {
                // Written again, or looked at while it was young.
                Ok(fresh) if known.is_some_and(|known| known.shows_what(&fresh)) => {
                    self.certificates.extend(known.cloned());
                }
                Ok(certificate) => {
                    rotation.taken.push(file.clone());
                    self.certificates.push(Arc::new(certificate));
                }
                Err(error) => {
                    rotation.refused.push(error);
                    self.bad.insert(file.clone());
                    self.certificates.extend(known.cloned());
                }
            }
        }
        let gone = before
            .certificates
            .iter()
            .filter(|known| !files.contains(&known.path));
        rotation.gone.extend(gone.map(|known| known.path.clone()));
        self.index();
        rotation
    }

    fn index(&mut self) {
        let mut exact: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        let mut wildcard: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        for (index, certificate) in self.certificates.iter().enumerate() {
            for name in &certificate.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcard, parent),
                    None => (&mut exact, &**name),
                };
                let holders = map.entry(name.into()).or_default();
                // The first of a kind wins.
                if holders
                    .iter()
                    .all(|other| self.certificates[*other as usize].rank() != certificate.rank())
                {
                    holders.push(index as u32);
                }
            }
        }
        let by_rank = |(name, mut holders): (Box<str>, Vec<u32>)| {
            holders.sort_by_key(|index| self.certificates[*index as usize].rank());
            (name, holders.into_boxed_slice())
        };
        self.exact = exact.into_iter().map(by_rank).collect();
        self.wildcard = wildcard.into_iter().map(by_rank).collect();
    }

    /// The certificate for this name that the client can verify (RFC 6066 section 3,
    /// RFC 6125 section 6.4.3: a wildcard stands for one label).
    fn find(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
        strict: bool,
    ) -> Option<&Arc<Certificate>> {
        let holders = name.and_then(|name| {
            let parent = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(parent)
        });
        let first = || self.certificates.first().filter(|_| !strict);
        let Some(holders) = holders else {
            return first().map(|first| self.sibling(first, schemes));
        };
        let suiting = holders
            .iter()
            .map(|index| &self.certificates[*index as usize])
            .find(|certificate| certificate.suits(schemes));
        suiting.or_else(first)
    }

    /// The default certificate comes in as many kinds as any other.
    fn sibling<'a>(
        &'a self,
        first: &'a Arc<Certificate>,
        schemes: &[SignatureScheme],
    ) -> &'a Arc<Certificate> {
        let holders = first.names.first().and_then(|name| {
            let exact = self.exact.get(name);
            exact.or_else(|| self.wildcard.get(name.strip_prefix("*.")?))
        });
        holders
            .into_iter()
            .flatten()
            .map(|index| &self.certificates[*index as usize])
            .find(|certificate| certificate.suits(schemes))
            .unwrap_or(first)
    }
}

/// Names of the alternative names; the common name where there are none (HAProxy takes it too).
fn names_of(leaf: &X509Certificate<'_>) -> Box<[Box<str>]> {
    let alternative = leaf.subject_alternative_name().ok().flatten();
    let names = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names);
    let mut names: Vec<Box<str>> = names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
            _ => None,
        })
        .collect();
    if alternative.is_none() {
        let common = leaf.subject().iter_common_name().next();
        let common = common.and_then(|name| name.as_str().ok());
        names.extend(common.map(|name| name.to_ascii_lowercase().into()));
    }
    names.into()
}
