//! The files of the operator: read on blocking threads, compared by content.
//!
//! A configuration that cannot be taken changes nothing. A server file that is
//! valid and empty means no servers; one that is missing or bad leaves the last
//! good set in place.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::inotify::{Hop, hops};
use crate::config::{self, Config, ConfigErrors, GroupWeights, Loaded};

/// What is known of the files: a mark of the content that was looked at last,
/// good or bad, so that nothing is taken, or complained of, twice.
#[derive(Debug, Default)]
pub(super) struct Files {
    config: Option<u64>,
    servers: HashMap<PathBuf, u64>,
    weights: HashMap<PathBuf, u64>,
}

/// What came of a look.
#[derive(Debug)]
pub(super) struct News {
    /// The configuration; `None` = nothing new.
    pub(super) config: Option<Result<Box<Loaded>, ConfigErrors>>,
    /// Server files with something new.
    pub(super) servers: Vec<ServerFile>,
    /// Files of weights with something new.
    pub(super) weights: Vec<WeightsFile>,
    marks: Marks,
    /// Something may still be being written.
    is_unsettled: bool,
}

/// One server file.
#[derive(Debug)]
pub(super) struct ServerFile {
    /// Where.
    pub(super) path: PathBuf,
    /// Its servers, or the rendered diagnostics.
    pub(super) servers: Result<Vec<config::Server>, String>,
}

/// One file of weights.
#[derive(Debug)]
pub(super) struct WeightsFile {
    /// Where.
    pub(super) path: PathBuf,
    /// What stands in it; what it means is for the backend to say.
    pub(super) text: Result<String, String>,
}

/// Of the contents that were looked at.
#[derive(Debug, Default)]
struct Marks {
    config: Option<u64>,
    servers: Vec<(PathBuf, u64)>,
    weights: Vec<(PathBuf, u64)>,
}

/// What a blocking thread is to look at.
struct Look {
    paths: Vec<PathBuf>,
    /// Server files of the configuration in force.
    server_files: Vec<PathBuf>,
    known: HashMap<PathBuf, u64>,
    /// Files of weights of the configuration in force.
    weight_files: Vec<PathBuf>,
    known_weights: HashMap<PathBuf, u64>,
    known_config: Option<u64>,
    /// Also what has not changed.
    all: bool,
}

impl Files {
    /// Looks at the files of a process that was started with `paths` and runs
    /// `current`. `all` = as if nothing were known.
    ///
    /// # Errors
    /// A path that cannot be read twice, or a panic on the way: one sentence.
    pub(super) async fn look(
        &mut self,
        paths: &[PathBuf],
        current: &Config,
        all: bool,
    ) -> Result<News, String> {
        for again in 0.. {
            let look = Look {
                paths: paths.to_vec(),
                server_files: server_files(current),
                known: self.servers.clone(),
                weight_files: weight_files(current),
                known_weights: self.weights.clone(),
                known_config: self.config,
                all,
            };
            let news = tokio::task::spawn_blocking(move || look.run()).await;
            let news = news.map_err(|error| format!("reading the files: {error}"))??;
            if news.is_unsettled && again < SETTLE_TRIES {
                tokio::time::sleep(SETTLE).await;
                continue;
            }
            self.config = news.marks.config.or(self.config);
            self.servers.extend(news.marks.servers.iter().cloned());
            self.weights.extend(news.marks.weights.iter().cloned());
            return Ok(news);
        }
        unreachable!("the last try returns");
    }

    /// Whether the configuration was looked at since the start.
    #[cfg(test)]
    pub(super) fn has_looked(&self) -> bool {
        self.config.is_some()
    }

    /// Forgets what was seen of the files beside the configuration: what was read
    /// could not be taken.
    pub(super) fn forget_beside(&mut self) {
        self.servers.clear();
        self.weights.clear();
    }
}

/// Each server file of a configuration once.
pub(super) fn server_files(config: &Config) -> Vec<PathBuf> {
    let all = config.backends.iter().flat_map(|b| b.server_files());
    let mut files: Vec<_> = all.cloned().collect();
    files.sort();
    files.dedup();
    files
}

/// Each file of weights of a configuration once.
pub(super) fn weight_files(config: &Config) -> Vec<PathBuf> {
    let groups = config.backends.iter().filter_map(|b| b.groups.as_ref());
    let mut files: Vec<_> = groups
        .filter_map(|groups| match &groups.weights {
            GroupWeights::File(path) => Some(path.clone()),
            _ => None,
        })
        .collect();
    files.sort();
    files.dedup();
    files
}

/// What to watch for all of these.
pub(super) async fn all_hops(paths: Vec<PathBuf>) -> Vec<Hop> {
    let look = move || paths.iter().flat_map(|path| hops(path)).collect();
    // A panic there leaves the slow look every few seconds.
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

impl Look {
    fn run(self) -> Result<News, String> {
        let mut news = News {
            config: None,
            servers: Vec::new(),
            weights: Vec::new(),
            marks: Marks::default(),
            is_unsettled: false,
        };
        self.config(&mut news)?;
        let (servers, weights) = match &news.config {
            Some(Ok(loaded)) => (server_files(&loaded.config), weight_files(&loaded.config)),
            _ => (self.server_files.clone(), self.weight_files.clone()),
        };
        for path in servers {
            self.server_file(path, &mut news);
        }
        for path in weights {
            self.weights_file(path, &mut news);
        }
        Ok(news)
    }

    fn config(&self, news: &mut News) -> Result<(), String> {
        if self.paths.is_empty() {
            return Ok(());
        }
        // A pipe was empty after the first time; to open one could block for ever.
        let special = |path: &&PathBuf| {
            fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
        };
        if let Some(path) = self.paths.iter().find(special) {
            return match self.all {
                true => Err(format!(
                    "{} is not a regular file: it cannot be read again",
                    path.display()
                )),
                false => Ok(()),
            };
        }
        let files = toml_files(&self.paths);
        let mark = mark(&files);
        if !self.all && self.known_config == Some(mark) {
            return Ok(());
        }
        let loaded = Config::load(&self.paths);
        let doubtful = loaded.as_ref().map_or(true, |loaded| {
            let config = &loaded.config;
            config.frontends.is_empty() && config.backends.is_empty()
        });
        self.doubt(doubtful, &files, news);
        news.marks.config = Some(mark);
        news.config = Some(loaded.map(Box::new));
        Ok(())
    }

    fn server_file(&self, path: PathBuf, news: &mut News) {
        let content = read(&path);
        let mark = mark_of(&path, &content);
        // What was known of a file that went out of use went with it.
        let is_used = self.server_files.contains(&path);
        if !self.all && is_used && self.known.get(&path) == Some(&mark) {
            return;
        }
        let name = path.display().to_string();
        let servers = match content {
            Ok(text) => config::parse_servers(&name, &text, &config::process_environment)
                .map_err(|errors| errors.render(false)),
            Err(error) => Err(format!("error: cannot read {name}: {error}")),
        };
        let doubtful = servers.as_ref().map_or(true, Vec::is_empty);
        self.doubt(doubtful, std::slice::from_ref(&path), news);
        news.marks.servers.push((path.clone(), mark));
        news.servers.push(ServerFile { path, servers });
    }

    fn weights_file(&self, path: PathBuf, news: &mut News) {
        let content = read(&path);
        let mark = mark_of(&path, &content);
        // What a text means depends on the configuration that names it.
        let is_same = news.config.is_none() && self.weight_files.contains(&path);
        if !self.all && is_same && self.known_weights.get(&path) == Some(&mark) {
            return;
        }
        let text = content.map_err(|error| format!("cannot be read: {error}"));
        let shares = text
            .as_ref()
            .ok()
            .map(|text| config::shares::parse(text, None));
        let doubtful = !matches!(shares, Some(Ok(shares)) if !shares.is_empty());
        self.doubt(doubtful, std::slice::from_ref(&path), news);
        news.marks.weights.push((path.clone(), mark));
        news.weights.push(WeightsFile { path, text });
    }

    /// Whoever writes in place empties the file first. What was just written may
    /// not be whole; to somebody who asks it is believed nevertheless, unless it
    /// cannot be meant so.
    fn doubt(&self, doubtful: bool, files: &[PathBuf], news: &mut News) {
        if doubtful || !self.all {
            news.is_unsettled |= files.iter().any(|file| is_young(file));
        }
    }
}

/// The files behind `paths`, as the configuration's reader finds them.
fn toml_files(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        let Ok(entries) = fs::read_dir(path) else {
            files.push(path.clone());
            continue;
        };
        let entries = entries.flatten().map(|entry| entry.path());
        let mut inside: Vec<_> = entries
            .filter(|file| file.extension().is_some_and(|ext| ext == "toml"))
            .collect();
        inside.sort();
        files.extend(inside);
    }
    files
}

fn mark(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        hasher.write_u64(mark_of(file, &read(file)));
    }
    hasher.finish()
}

fn mark_of(path: &Path, content: &io::Result<String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path.as_os_str().as_encoded_bytes());
    match content {
        Ok(text) => hasher.write(text.as_bytes()),
        Err(error) => hasher.write(error.to_string().as_bytes()),
    }
    hasher.finish()
}

fn read(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    file.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(io::Error::other("larger than 16 MiB"));
    }
    Ok(text)
}

/// Changed just now: whoever writes it may not be done.
fn is_young(path: &Path) -> bool {
    let changed = fs::metadata(path).and_then(|meta| meta.modified());
    changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < YOUNG))
}

/// A file is whole once nothing was written to it for this long.
const YOUNG: Duration = Duration::from_millis(100);
const SETTLE: Duration = Duration::from_millis(50);
const SETTLE_TRIES: u32 = 10;
/// As the configuration's reader has it.
const BYTES_MAX: u64 = 16 << 20;
