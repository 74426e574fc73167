//! HAProxy's words for TLS to a server (manual 5.2), as `add server` takes them.

use std::path::{Path, PathBuf};

use crate::config::{Alpn, ServerTls, TlsChoice, tls_host, tls_name};
use crate::control::admin::answer::Reply;

/// The words of this file, for the help and for "did you mean".
pub(super) const KEYWORDS: [&str; 8] = [
    "alpn",
    "ca-file",
    "crt",
    "no-ssl",
    "sni",
    "ssl",
    "verify",
    "verifyhost",
];

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Ssl {
    spoken: Option<bool>,
    tls: ServerTls,
    /// The first word that says how, if any.
    detail: Option<&'static str>,
}

impl Ssl {
    /// Takes one of [`KEYWORDS`]; `value` is what follows it.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub(super) fn take<'a>(
        &mut self,
        word: &str,
        value: impl FnOnce() -> Result<&'a str, Reply>,
    ) -> Result<(), Reply> {
        let Some(word) = KEYWORDS.into_iter().find(|known| *known == word) else {
            return Ok(());
        };
        match word {
            "ssl" => self.spoken = Some(true),
            "no-ssl" => self.spoken = Some(false),
            word => {
                self.detail.get_or_insert(word);
                self.detail(word, value()?)?;
            }
        }
        Ok(())
    }

    fn detail(&mut self, word: &'static str, value: &str) -> Result<(), Reply> {
        let tls = &mut self.tls;
        match word {
            "verify" => tls.verify = verify(value)?,
            "ca-file" if value == SYSTEM => tls.ca_file = None,
            "ca-file" => tls.ca_file = Some(path(word, value)?),
            "crt" => tls.certificate = Some(path(word, value)?),
            "alpn" => tls.alpn = value.split(',').map(protocol).collect::<Result<_, _>>()?,
            "sni" => {
                let name = constant(value);
                let wrong = |_| format!("'sni' expects a host name or str(name), not '{value}'.");
                tls_name(name).map_err(wrong).map_err(Reply::refused)?;
                tls.sni = Some(name.into());
            }
            _ => {
                let wrong =
                    |_| format!("'verifyhost' expects a host name or an address, not '{value}'.");
                tls_host(value).map_err(wrong).map_err(Reply::refused)?;
                tls.host = Some(value.into());
            }
        }
        Ok(())
    }

    /// What all of them come to.
    ///
    /// # Errors
    /// They do not go together.
    pub(super) fn choice(self) -> Result<TlsChoice, Reply> {
        match (self.spoken, self.detail) {
            (None, None) => Ok(TlsChoice::Backend),
            (Some(false), None) => Ok(TlsChoice::Off),
            (None | Some(false), Some(word)) => Err(Reply::refused(format!(
                "'{word}' says how TLS is spoken: it needs 'ssl' beside it."
            ))),
            (Some(true), _) if !self.tls.verify && self.tls.ca_file.is_some() => {
                Err("'ca-file' beside 'verify none': nothing would be verified with it.".into())
            }
            (Some(true), _) => Ok(TlsChoice::Own(Box::new(self.tls))),
        }
    }
}

fn verify(value: &str) -> Result<bool, Reply> {
    match value {
        "none" => Ok(false),
        "required" => Ok(true),
        _ => Err(Reply::refused(format!(
            "'verify' : unknown verify method '{value}', only 'none' and 'required' are supported"
        ))),
    }
}

/// A process that was started by somebody else has a working directory nobody knows.
fn path(word: &str, value: &str) -> Result<PathBuf, Reply> {
    match Path::new(value).is_absolute() {
        true => Ok(PathBuf::from(value)),
        false => Err(Reply::refused(format!(
            "'{word}' expects an absolute path, not '{value}'."
        ))),
    }
}

fn protocol(word: &str) -> Result<Alpn, Reply> {
    [Alpn::H2, Alpn::Http11]
        .into_iter()
        .find(|alpn| alpn.as_str() == word)
        .ok_or_else(|| {
            Reply::refused(format!(
                "'alpn' expects h2 and http/1.1, with commas between, not '{word}'."
            ))
        })
}

/// HAProxy takes an expression; what is the same for every request can be known here.
fn constant(expression: &str) -> &str {
    let inner = expression.strip_prefix("str(");
    inner
        .and_then(|inner| inner.strip_suffix(')'))
        .unwrap_or(expression)
}

/// HAProxy's name for the authorities of the system.
const SYSTEM: &str = "@system-ca";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::spec::tls_text;

    fn read(words: &str) -> Result<TlsChoice, String> {
        let mut ssl = Ssl::default();
        let mut words = words.split_whitespace();
        let refused = |reply| match reply {
            Reply::Message(_, text) => text.into_owned(),
            other => panic!("{other:?}"),
        };
        while let Some(word) = words.next() {
            assert!(KEYWORDS.contains(&word), "{word}");
            let value = || words.next().ok_or_else(|| Reply::refused("no value"));
            ssl.take(word, value).map_err(refused)?;
        }
        ssl.choice().map_err(refused)
    }

    #[test]
    fn what_is_kept_reads_as_it_was_said() {
        for words in [
            "",
            " no-ssl",
            " ssl",
            " ssl verify none sni a.test",
            " ssl ca-file /ca.pem sni a.test verifyhost 10.0.0.1 crt /own.pem alpn h2,http/1.1",
        ] {
            assert_eq!(tls_text(&read(words).unwrap()), words);
        }
        let said = read("sni str(a.test) ca-file @system-ca verify required ssl");
        assert_eq!(tls_text(&said.unwrap()), " ssl sni a.test");
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (words, told) in [
            ("ssl verify optional", "'none' and 'required'"),
            ("ssl sni a:443", "'sni' expects"),
            ("ssl sni req.hdr(host)", "'sni' expects"),
            ("ssl verifyhost -", "'verifyhost' expects"),
            ("ssl ca-file ca.pem", "an absolute path"),
            ("ssl alpn h3", "'alpn' expects"),
            ("ssl ca-file", "no value"),
            ("sni a.test", "needs 'ssl'"),
            ("no-ssl verify none", "needs 'ssl'"),
            (
                "ssl verify none ca-file /ca.pem",
                "nothing would be verified",
            ),
        ] {
            let refused = read(words).unwrap_err();
            assert!(refused.contains(told), "{words}: {refused}");
        }
    }
}
