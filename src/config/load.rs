//! From files to a [`Config`]: reading, joining, the public way in.

use std::path::{Path, PathBuf};

use super::diagnostics::{ConfigErrors, Diagnostic, Place, Problems};
use super::expand::Lookup;
use super::keys::{ROOT, SERVER_FILE, Takes};
use super::syntax::{Parser, SOURCE_MAX};
use super::tree::{Node, Reader, Table, Value};
use super::{Config, Server, check, resolve, stats};

/// A configuration and what is worth knowing about how it was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What it does not do as its author probably thinks.
    pub warnings: Vec<Diagnostic>,
    /// Values that came from the environment, for masking them in what is
    /// shown; none is empty, the order means nothing.
    pub expanded: Vec<String>,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// The directories whose `*.toml` were read: a file may come to be there.
    pub directories: Vec<PathBuf>,
}

impl Config {
    /// Reads the files at `paths`, of a directory its `*.toml` in the order of
    /// their names, and joins them: tables key by key, lists of frontends,
    /// backends and listens one behind the other. `${NAME}` is looked up in the
    /// environment of the process.
    ///
    /// # Errors
    ///
    /// All problems of all files, if there is one: unreadable files, syntax,
    /// unknown keys, values out of range, names that lead nowhere.
    pub fn load(paths: &[PathBuf]) -> Result<Loaded, ConfigErrors> {
        Self::load_with(paths, &process_environment)
    }

    /// [`load`](Self::load) with an environment of the caller's.
    ///
    /// # Errors
    ///
    /// As for `load`.
    pub fn load_with(
        paths: &[PathBuf],
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigErrors> {
        let problems = Problems::default();
        let mut directories = Vec::new();
        let files = files(paths, &mut directories, &problems);
        let texts = files
            .iter()
            .filter_map(|file| Some((file.display().to_string(), read(file, &problems)?)))
            .collect();
        let (config, warnings, expanded) = build(texts, environment, problems)?;
        // As HAProxy. It also keeps a reload from taking a file that is being
        // written in place, and still empty, for the wish to close everything.
        if config.frontends.is_empty() {
            let nothing = "nothing to serve: there is no [[listen]] and no [[frontend]]";
            return Err(ConfigErrors::new(vec![Diagnostic::error(nothing)]));
        }
        let unreadable = unreadable_accounts(&config);
        if !unreadable.is_empty() {
            return Err(ConfigErrors::new(unreadable));
        }
        Ok(Loaded {
            config,
            warnings,
            expanded,
            files,
            directories,
        })
    }

    /// Reads one text; `name` is what diagnostics call it, and server files are
    /// looked for beside it. `${NAME}` is looked up in the environment of the
    /// process.
    ///
    /// # Errors
    ///
    /// All problems of the text.
    ///
    /// # Examples
    ///
    /// ```
    /// let loaded = rlb::config::Config::parse(
    ///     "lb.toml",
    ///     r#"
    ///     [[listen]]
    ///     name = "web"
    ///     bind = "127.0.0.1:8080"
    ///     server = ["10.0.0.11:80", "10.0.0.12:80"]
    ///     "#,
    /// )?;
    /// assert_eq!(loaded.config.backends[0].servers.len(), 2);
    /// # Ok::<(), rlb::config::ConfigErrors>(())
    /// ```
    pub fn parse(name: &str, text: &str) -> Result<Loaded, ConfigErrors> {
        Self::parse_with(name, text, &process_environment)
    }

    /// [`parse`](Self::parse) with an environment of the caller's.
    ///
    /// # Errors
    ///
    /// As for `parse`.
    pub fn parse_with(
        name: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigErrors> {
        let texts = vec![(name.to_owned(), text.to_owned())];
        let (config, warnings, expanded) = build(texts, environment, Problems::default())?;
        Ok(Loaded {
            config,
            warnings,
            expanded,
            files: Vec::new(),
            directories: Vec::new(),
        })
    }

    /// HTTP from one address to these servers, for a program that brings no
    /// file: one frontend and one backend called `web`, no admin socket, the
    /// rest by default.
    ///
    /// # Errors
    ///
    /// `bind` or one of `servers` is not an address, or a server stands twice.
    ///
    /// # Examples
    ///
    /// ```
    /// let config = rlb::config::Config::embedded("127.0.0.1:8080", &["10.0.0.11:80"])?;
    /// assert_eq!(&*config.frontends[0].name, "web");
    /// # Ok::<(), rlb::config::ConfigErrors>(())
    /// ```
    pub fn embedded(bind: &str, servers: &[&str]) -> Result<Self, ConfigErrors> {
        let quoted = |text: &str| toml::Value::from(text.replace('$', "$$")).to_string();
        let servers: Vec<_> = servers.iter().map(|server| quoted(server)).collect();
        let text = format!(
            "[global]\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = {}\nserver = [{}]\n",
            quoted(bind),
            servers.join(", ")
        );
        Self::parse_with("embedded", &text, &|_| None).map(|loaded| loaded.config)
    }
}

/// Reads a server file: TOML with nothing but `server = [...]`, the keys as in
/// a backend. `name` is what diagnostics call it.
///
/// An empty list is valid here; what it means is for the source to decide.
///
/// # Errors
///
/// All problems of the text.
pub(crate) fn parse_servers(
    name: &str,
    text: &str,
    environment: Lookup<'_>,
) -> Result<Vec<Server>, ConfigErrors> {
    let problems = Problems::default();
    let mut parser = Parser {
        problems: &problems,
        lookup: environment,
        expanded: Vec::new(),
    };
    let mut root = parser.parse(name, text.to_owned());
    let place = Place::new(0, 0..0);
    check::table(&mut root, place, &SERVER_FILE, &problems);
    let reader = Reader::new(place, Some(&root), None);
    let servers = resolve::servers_of_file(reader.list("server"), &problems);
    match problems.into_sorted() {
        (errors, _) if errors.is_empty() => Ok(servers),
        (errors, _) => Err(ConfigErrors::new(errors)),
    }
}

/// Looks up a variable of this process.
pub(crate) fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn build(
    texts: Vec<(String, String)>,
    environment: Lookup<'_>,
    problems: Problems,
) -> Result<(Config, Vec<Diagnostic>, Vec<String>), ConfigErrors> {
    let mut parser = Parser {
        problems: &problems,
        lookup: environment,
        expanded: Vec::new(),
    };
    let mut root = Table::default();
    for (name, text) in texts {
        let table = parser.parse(&name, text);
        join(&mut root, table, true, &problems);
    }
    let expanded = parser.expanded;
    check::table(&mut root, Place::new(0, 0..0), &ROOT, &problems);
    let config = resolve::resolve(&root, &problems);
    match problems.into_sorted() {
        (errors, warnings) if errors.is_empty() => Ok((config, warnings, expanded)),
        (errors, _) => Err(ConfigErrors::new(errors)),
    }
}

/// Puts the entries of `from` to those of `into`. Only the lists at the top
/// grow; anything else that stands in both is given twice.
fn join(into: &mut Table, from: Table, at_top: bool, problems: &Problems) {
    for entry in from.entries {
        let is_list = at_top
            && ROOT
                .key(&entry.key)
                .is_some_and(|key| matches!(key.takes, Takes::List(_)));
        let Some(known) = into.get_mut(&entry.key) else {
            into.entries.push(entry);
            continue;
        };
        let key_place = known.key_place;
        match (&mut known.node.value, entry.node.value) {
            (_, value) if is_list => append(&mut known.node, Node::new(entry.node.place, value)),
            (Value::Table(known), Value::Table(more)) => join(known, more, false, problems),
            _ => problems.at_all(
                &[
                    (entry.key_place, "again".to_owned()),
                    (key_place, "first given here".to_owned()),
                ],
                Diagnostic::error(format!("`{}` is given twice", entry.key.escape_debug())),
            ),
        }
    }
}

/// One value stands for a list of one.
fn append(list: &mut Node, more: Node) {
    let single = |node: Node| match node.value {
        Value::Array(items) => items,
        value => vec![Node::new(node.place, value)],
    };
    let value = std::mem::replace(&mut list.value, Value::Bad);
    let mut items = single(Node::new(list.place, value));
    items.extend(single(more));
    list.value = Value::Array(items);
}

/// The files behind `paths`, each once.
fn files(paths: &[PathBuf], directories: &mut Vec<PathBuf>, problems: &Problems) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        let found = if path.is_dir() {
            directories.push(path.clone());
            in_directory(path, problems)
        } else {
            vec![path.clone()]
        };
        for file in found {
            if files.contains(&file) {
                problems.report(Diagnostic::error(format!(
                    "{} is named twice",
                    file.display()
                )));
            } else {
                files.push(file);
            }
        }
    }
    files
}

fn in_directory(path: &Path, problems: &Problems) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>, _>>()
    });
    let mut files = match entries {
        Ok(entries) => entries,
        Err(error) => {
            unreadable(path, &error, problems);
            return Vec::new();
        }
    };
    // Editors leave files such as `.#lb.toml` behind.
    let hidden = |file: &Path| {
        file.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    files.retain(|file| file.extension().is_some_and(|ext| ext == "toml") && !hidden(file));
    files.sort();
    if files.is_empty() {
        problems.report(Diagnostic::error(format!(
            "no *.toml in the directory {}",
            path.display()
        )));
    }
    files
}

fn read(path: &Path, problems: &Problems) -> Option<String> {
    let too_large = std::fs::metadata(path).is_ok_and(|meta| meta.len() > SOURCE_MAX as u64);
    if too_large {
        problems.report(Diagnostic::error(format!(
            "{} is larger than {} MiB",
            path.display(),
            SOURCE_MAX >> 20
        )));
        problems.set_incomplete();
        return None;
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            unreadable(path, &error, problems);
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..valid]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            problems.report(Diagnostic::error(format!(
                "{} line {line}: not UTF-8",
                path.display()
            )));
            problems.set_incomplete();
            None
        }
    }
}

/// Files of accounts that would let nobody in.
fn unreadable_accounts(config: &Config) -> Vec<Diagnostic> {
    let pages = config.frontends.iter().filter_map(|f| f.stats.as_ref());
    let pages = pages.chain(config.stats.as_ref().map(|server| &server.page));
    let files = pages.filter_map(|page| page.auth_file.as_deref());
    files
        .filter_map(|file| stats::read_htpasswd(file).err())
        .map(|error| Diagnostic::error(format!("auth_file {error}")))
        .collect()
}

fn unreadable(path: &Path, error: &std::io::Error, problems: &Problems) {
    problems.report(Diagnostic::error(format!(
        "cannot read {}: {error}",
        path.display()
    )));
    problems.set_incomplete();
}
