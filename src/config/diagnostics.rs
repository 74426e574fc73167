//! Problems with their places, and how an operator sees them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One text that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// As the operator named it.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Bytes `start..end` of the file numbered `file`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Place {
    pub(crate) fn new(file: u32, span: Range<usize>) -> Self {
        // Files are at most `SOURCE_MAX` long, so offsets fit.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            file,
            start: offset(span.start),
            end: offset(span.end),
        }
    }

    pub(crate) fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

/// One problem of a configuration, with the lines it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    labels: Vec<Label>,
    help: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self {
            severity,
            message,
            labels: Vec::new(),
            help: Vec::new(),
        }
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    fn label(mut self, source: Arc<Source>, span: Range<usize>, text: String) -> Self {
        let text_len = source.text.len();
        let start = span.start.min(text_len);
        let end = span.end.clamp(start, text_len);
        self.labels.push(Label {
            source,
            span: start..end,
            text,
        });
        self
    }

    /// Whether the configuration is refused because of it.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one line without place and suggestion.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// File, line and column (both from 1; the column counts characters).
    pub fn location(&self) -> Option<(&str, usize, usize)> {
        let label = self.labels.first()?;
        let before = &label.source.text[..label.span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Some((&label.source.name, line, column))
    }

    /// One line for a log: `lb.toml:3:8: unknown key`.
    pub fn summary(&self) -> String {
        match self.location() {
            Some((file, line, column)) => format!("{file}:{line}:{column}: {}", self.message),
            None => self.message.clone(),
        }
    }

    /// The problem with its lines, carets and suggestions; no newline at the end.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(self.message.as_str())
            .elements(self.snippets());
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&[group])
    }

    /// One snippet per file, in the order of the labels. Only the lines that
    /// are spoken of are handed over: a file may be long and full of problems.
    fn snippets(&self) -> Vec<Snippet<'_, annotate_snippets::Annotation<'_>>> {
        let mut files: Vec<&Arc<Source>> = Vec::new();
        for label in &self.labels {
            if !files.iter().any(|file| Arc::ptr_eq(file, &label.source)) {
                files.push(&label.source);
            }
        }
        files.into_iter().map(|file| self.snippet(file)).collect()
    }

    fn snippet<'a>(
        &'a self,
        file: &'a Arc<Source>,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let here = || {
            self.labels
                .iter()
                .enumerate()
                .filter(|(_, label)| Arc::ptr_eq(&label.source, file))
        };
        let start = here().map(|(_, label)| label.span.start).min().unwrap_or(0);
        let end = here().map(|(_, label)| label.span.end).max().unwrap_or(0);
        let from = file.text[..start]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let to = file.text[end..]
            .find('\n')
            .map_or(file.text.len(), |newline| end + newline);
        let line = file.text[..from].matches('\n').count() + 1;
        let annotations = here().map(|(index, label)| {
            let kind = if index == 0 {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            let annotation = kind.span(label.span.start - from..label.span.end - from);
            if label.text.is_empty() {
                annotation
            } else {
                annotation.label(label.text.as_str())
            }
        });
        Snippet::source(&file.text[from..to])
            .path(file.name.as_str())
            .line_start(line)
            .annotations(annotations)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Label {
    source: Arc<Source>,
    span: Range<usize>,
    text: String,
}

/// Why a configuration was refused: all of its problems, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<Diagnostic>,
}

impl ConfigErrors {
    pub(crate) fn new(errors: Vec<Diagnostic>) -> Self {
        debug_assert!(!errors.is_empty());
        Self { errors }
    }

    /// The problems, in the order of the files.
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// The problems with lines and carets, as an operator should see them, and
    /// a last line that counts them. Ends with a newline.
    pub fn render(&self, color: bool) -> String {
        let mut text = String::new();
        for error in self.errors.iter().take(RENDERED_MAX) {
            text.push_str(&error.render(color));
            text.push_str("\n\n");
        }
        match self.errors.len() {
            1 => text.push_str("1 problem\n"),
            count if count > RENDERED_MAX => {
                text.push_str(&format!(
                    "{count} problems, the first {RENDERED_MAX} shown\n"
                ));
            }
            count => text.push_str(&format!("{count} problems\n")),
        }
        text
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects what is wrong while a configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    sources: RefCell<Vec<Arc<Source>>>,
    found: RefCell<Vec<(Option<Place>, Diagnostic)>>,
    /// Lines that already have a syntax error: what the parser made of them
    /// is its guess, and complaints about it would be noise.
    broken_lines: RefCell<Vec<(u32, Range<usize>)>>,
    /// A file did not parse whole: what is missing may only have been lost.
    incomplete: Cell<bool>,
}

impl Problems {
    /// Takes in a text; its number is what [`Place::file`] refers to.
    pub(crate) fn add_source(&self, name: &str, text: String) -> (u32, Arc<Source>) {
        let source = Arc::new(Source {
            name: name.to_owned(),
            text,
        });
        let mut sources = self.sources.borrow_mut();
        sources.push(Arc::clone(&source));
        let number = u32::try_from(sources.len() - 1).unwrap_or(u32::MAX);
        (number, source)
    }

    pub(crate) fn source(&self, place: Place) -> Option<Arc<Source>> {
        self.sources.borrow().get(place.file as usize).cloned()
    }

    /// The text at `place` as it was written.
    pub(crate) fn written(&self, place: Place) -> String {
        self.source(place)
            .and_then(|source| source.text.get(place.span()).map(str::to_owned))
            .unwrap_or_default()
    }

    /// Reports a problem of no particular line.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push((None, diagnostic));
    }

    /// Reports a problem at `place`; `label` stands beside the caret.
    pub(crate) fn at(&self, place: Place, label: impl Into<String>, diagnostic: Diagnostic) {
        self.at_all(&[(place, label.into())], diagnostic);
    }

    /// Reports a problem of several places, the culprit first.
    pub(crate) fn at_all(&self, places: &[(Place, String)], mut diagnostic: Diagnostic) {
        let first = places.first().map(|(place, _)| *place);
        if first.is_some_and(|place| self.is_broken(place)) {
            return;
        }
        for (place, label) in places {
            if let Some(source) = self.source(*place) {
                diagnostic = diagnostic.label(source, place.span(), label.clone());
            }
        }
        self.found.borrow_mut().push((first, diagnostic));
    }

    /// Reports that something is not there; silent when it may have been lost
    /// in a syntax error.
    pub(crate) fn missing(&self, place: Place, label: impl Into<String>, diagnostic: Diagnostic) {
        if !self.incomplete.get() {
            self.at(place, label, diagnostic);
        }
    }

    /// Reports a syntax error and silences what its lines would say later.
    pub(crate) fn syntax(&self, place: Place, label: impl Into<String>, diagnostic: Diagnostic) {
        self.at(place, label, diagnostic);
        self.incomplete.set(true);
        self.silence(place);
    }

    /// Nothing more is reported of the lines of `place`.
    pub(crate) fn silence(&self, place: Place) {
        if let Some(source) = self.source(place) {
            let lines = lines_around(&source.text, place.span());
            self.broken_lines.borrow_mut().push((place.file, lines));
        }
    }

    /// Whether a syntax error stands in the line of `place` already.
    pub(crate) fn is_broken(&self, place: Place) -> bool {
        self.broken_lines
            .borrow()
            .iter()
            .any(|(file, lines)| *file == place.file && lines.contains(&(place.start as usize)))
    }

    /// A file could not be read whole.
    pub(crate) fn set_incomplete(&self) {
        self.incomplete.set(true);
    }

    /// Errors and warnings, each in the order of the files.
    pub(crate) fn into_sorted(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(place, _)| *place);
        // A value of [defaults] is met once for each section that takes it.
        found.dedup();
        found
            .into_iter()
            .map(|(_, diagnostic)| diagnostic)
            .partition(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// The whole lines `span` lies in, newline included.
fn lines_around(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text
        .get(..span.start)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1);
    let end = text
        .get(span.end..)
        .and_then(|after| after.find('\n'))
        .map_or(text.len() + 1, |newline| span.end + newline + 1);
    start..end
}

/// More is not read by anybody, and costs time in proportion.
const RENDERED_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Problems {
        let problems = Problems::default();
        problems.add_source("lb.toml", text.to_owned());
        problems
    }

    #[test]
    fn a_problem_shows_line_caret_and_help() {
        let problems = problems("a = 1\nwörker = 2\n");
        problems.at(
            Place::new(0, 6..13),
            "no such key",
            Diagnostic::error("unknown key").help("did you mean `workers`?"),
        );
        let (errors, _) = problems.into_sorted();
        assert_eq!(errors[0].location(), Some(("lb.toml", 2, 1)));
        assert_eq!(errors[0].summary(), "lb.toml:2:1: unknown key");
        assert_eq!(
            errors[0].render(false),
            "\
error: unknown key
 --> lb.toml:2:1
  |
2 | wörker = 2
  | ^^^^^^ no such key
  |
  = help: did you mean `workers`?"
        );
        assert!(errors[0].render(true).contains("\u{1b}["));
    }

    #[test]
    fn two_files_are_two_snippets() {
        let problems = problems("x = 1\n");
        problems.add_source("b.toml", "\nx = 2\n".to_owned());
        problems.at_all(
            &[
                (Place::new(1, 1..2), "again".to_owned()),
                (Place::new(0, 0..1), "first".to_owned()),
            ],
            Diagnostic::error("twice"),
        );
        let (errors, _) = problems.into_sorted();
        assert_eq!(
            errors[0].render(false),
            "\
error: twice
 --> b.toml:2:1
  |
2 | x = 2
  | ^ again
  |
 ::: lb.toml:1:1
  |
1 | x = 1
  | - first"
        );
    }

    #[test]
    fn a_line_with_a_syntax_error_says_nothing_more() {
        let problems = problems("x = \ny = 2\n");
        problems.syntax(Place::new(0, 4..4), "", Diagnostic::error("no value"));
        problems.at(Place::new(0, 0..1), "", Diagnostic::error("noise"));
        problems.at(Place::new(0, 5..6), "", Diagnostic::error("heard"));
        problems.missing(Place::new(0, 5..6), "", Diagnostic::error("maybe lost"));
        let (errors, _) = problems.into_sorted();
        let messages: Vec<_> = errors.iter().map(Diagnostic::message).collect();
        assert_eq!(messages, ["no value", "heard"]);
    }
}
