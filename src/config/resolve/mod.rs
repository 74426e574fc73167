//! From the checked tree to the run types: short sections taken apart,
//! defaults filled in, names turned into indices, and what only shows when
//! two keys are looked at together.

use std::collections::HashMap;

use super::diagnostics::{Diagnostic, Place, Problems};
use super::suggest::nearest;
use super::tree::{Node, Reader, Table};
use super::{Backend, Config, Mode};

mod backend;
mod bind;
mod check;
mod cookie;
mod discovery;
mod frontend;
mod global;
mod groups;
mod http2;
mod log;
mod proxy_protocol;
mod route;
mod server;
mod stats;
mod tls;

pub(crate) use server::servers_of_file;

/// Builds the configuration. It is only worth something if `problems` holds
/// no error afterwards.
pub(crate) fn resolve(root: &Table, problems: &Problems) -> Config {
    let root = Reader::new(Place::new(0, 0..0), Some(root), None);
    let defaults = root.table("defaults");
    let sections = sections(&root, defaults);
    let mut names = BackendNames::default();
    let mut backends = Vec::new();
    for section in sections.iter().filter(|section| section.kind.has_backend()) {
        names.add(section, backends.len(), problems);
        backends.push(backend::backend(&section.reader, problems));
    }
    let mut listening = bind::Listening::default();
    let mut frontend_names = HashMap::new();
    let mut frontends = Vec::new();
    for section in sections
        .iter()
        .filter(|section| section.kind.has_frontend())
    {
        unique(&mut frontend_names, section, "frontend", problems);
        let own_backend = section
            .kind
            .has_backend()
            .then(|| names.index_of(section))
            .flatten();
        let context = frontend::Context {
            backends: &names,
            own_backend,
            problems,
        };
        let frontend = frontend::frontend(&section.reader, &context, &mut listening);
        names.used_by(&frontend);
        frontends.push(frontend);
    }
    for section in &sections {
        warn_http_only(section, problems);
    }
    if sections.is_empty() {
        problems.missing(
            root.place(),
            "",
            Diagnostic::warning("no [[frontend]] and no [[listen]]: nothing is served"),
        );
    }
    let register = discovery::registers(&root, &frontends, problems);
    names.warn_unused(&backends, problems);
    // Read from the defaults alone, and of HTTP whatever they say: hosts are its.
    let discovered = Reader::new(Place::new(0, 0..0), None, None).with_defaults(defaults);
    Config {
        global: global::global(&root.table("global"), problems),
        frontends,
        backends,
        stats: stats::server(&root, problems),
        logs: log::logs(&root, problems),
        discovery: discovery::discovery(&root.table("discovery"), problems),
        register,
        discovered: backend::discovered(&discovered, problems),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Frontend,
    Backend,
    Listen,
}

impl Kind {
    fn has_frontend(self) -> bool {
        self != Self::Backend
    }

    fn has_backend(self) -> bool {
        self != Self::Frontend
    }
}

/// A `[[frontend]]`, `[[backend]]` or `[[listen]]`.
struct Section<'t> {
    kind: Kind,
    reader: Reader<'t>,
}

/// All of them, in the order of the files.
fn sections<'t>(root: &Reader<'t>, defaults: Reader<'t>) -> Vec<Section<'t>> {
    let mut sections = Vec::new();
    for (key, kind) in [
        ("frontend", Kind::Frontend),
        ("backend", Kind::Backend),
        ("listen", Kind::Listen),
    ] {
        sections.extend(
            root.list(key)
                .iter()
                .filter(|node| node.as_table().is_some())
                .map(|node| Section {
                    kind,
                    reader: Reader::of(node).with_defaults(defaults),
                }),
        );
    }
    sections.sort_by_key(|section| section.reader.place());
    sections
}

/// Reports a name that stands twice, with both places.
fn unique<'t>(
    seen: &mut HashMap<&'t str, Place>,
    section: &Section<'t>,
    what: &str,
    problems: &Problems,
) {
    let Some(node) = section.reader.node("name") else {
        return;
    };
    let Some(name) = node.as_str() else {
        return;
    };
    match seen.get(name) {
        Some(first) => problems.at_all(
            &[
                (node.place, "again".to_owned()),
                (*first, "first given here".to_owned()),
            ],
            Diagnostic::error(format!("two {what}s are called `{name}`")),
        ),
        None => {
            seen.insert(name, node.place);
        }
    }
}

/// Settings of HTTP in a section that only relays bytes.
fn warn_http_only(section: &Section<'_>, problems: &Problems) {
    if mode(&section.reader) == Mode::Http {
        return;
    }
    for key in [
        "cookie",
        "forwarded",
        "keep_alive_requests",
        "limits",
        "monitor",
        "pool_max",
        "redirect_https",
        "http2",
        "protocol",
        "stats",
    ] {
        if let Some(entry) = section.reader.own(key) {
            problems.at(
                entry.key_place,
                "",
                Diagnostic::warning(format!("`{key}` has no effect in tcp mode")),
            );
        }
    }
}

fn mode(reader: &Reader<'_>) -> Mode {
    match reader.text("mode") {
        Some("tcp") => Mode::Tcp,
        _ => Mode::Http,
    }
}

fn mode_text(mode: Mode) -> &'static str {
    match mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    }
}

/// The backends by name, for whoever refers to them.
#[derive(Default)]
struct BackendNames<'t> {
    places: HashMap<&'t str, Place>,
    known: HashMap<&'t str, Known>,
    /// By index: whether anything leads there.
    used: Vec<bool>,
    /// By index: where its name stands.
    name_places: Vec<Option<Place>>,
}

#[derive(Clone, Copy)]
struct Known {
    index: usize,
    mode: Mode,
    place: Place,
}

impl<'t> BackendNames<'t> {
    fn add(&mut self, section: &Section<'t>, index: usize, problems: &Problems) {
        unique(&mut self.places, section, "backend", problems);
        let node = section.reader.node("name");
        self.used.push(false);
        self.name_places.push(node.map(|node| node.place));
        if let Some(name) = section.reader.text("name") {
            if let (true, Some(node)) = (super::is_built_in(name), node) {
                let diagnostic = Diagnostic::error(format!(
                    "names that begin with `{}` are rlb's own",
                    super::BUILT_IN
                ));
                problems.at(node.place, "", diagnostic);
            }
            let place = match section.reader.own("mode") {
                Some(entry) => entry.node.place,
                None => section.reader.place(),
            };
            let mode = mode(&section.reader);
            self.known
                .entry(name)
                .or_insert(Known { index, mode, place });
        }
    }

    fn index_of(&self, section: &Section<'_>) -> Option<usize> {
        let name = section.reader.text("name")?;
        self.known.get(name).map(|known| known.index)
    }

    /// The backend `node` names; a wrong name or mode is reported.
    fn find(&self, node: &Node, mode: Mode, problems: &Problems) -> Option<usize> {
        self.look_up(node, Some(mode), problems)
    }

    /// The same, of whatever mode.
    fn find_any(&self, node: &Node, problems: &Problems) -> Option<usize> {
        self.look_up(node, None, problems)
    }

    fn look_up(&self, node: &Node, mode: Option<Mode>, problems: &Problems) -> Option<usize> {
        let name = node.as_str()?;
        let Some(known) = self.known.get(name) else {
            let label = match nearest(name, self.known.keys().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "no [[backend]] or [[listen]] has this name".to_owned(),
            };
            let diagnostic =
                Diagnostic::error(format!("unknown backend `{}`", name.escape_debug()));
            problems.missing(node.place, label, diagnostic);
            return None;
        };
        if let Some(mode) = mode.filter(|mode| *mode != known.mode) {
            let (ours, theirs) = (mode_text(mode), mode_text(known.mode));
            problems.at_all(
                &[
                    (node.place, format!("used in {ours} mode")),
                    (known.place, format!("this backend is in {theirs} mode")),
                ],
                Diagnostic::error(format!(
                    "`{name}` is in {theirs} mode, its frontend in {ours}"
                ))
                .help(format!(
                    "write mode = \"{ours}\" in the backend, or \"{theirs}\" in the frontend"
                )),
            );
        }
        Some(known.index)
    }

    fn used_by(&mut self, frontend: &super::Frontend) {
        for index in frontend.leads_to() {
            if let Some(used) = self.used.get_mut(index) {
                *used = true;
            }
        }
    }

    fn warn_unused(&self, backends: &[Backend], problems: &Problems) {
        for ((backend, used), place) in backends.iter().zip(&self.used).zip(&self.name_places) {
            if let (false, Some(place)) = (*used, *place) {
                problems.missing(
                    place,
                    "",
                    Diagnostic::warning(format!("nothing leads to the backend `{}`", backend.name))
                        .help("name it in a frontend's default_backend or in a route"),
                );
            }
        }
    }
}
