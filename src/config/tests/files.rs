//! Several files, directories, and files that cannot be read.

use std::fs;
use std::path::Path;

use super::*;

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn load(paths: &[PathBuf]) -> Result<Loaded, ConfigErrors> {
    Config::load_with(paths, &|_| None)
}

/// What was said, without the directory of the test.
fn said(errors: &ConfigErrors, directory: &Path) -> String {
    errors
        .render(false)
        .replace(&format!("{}/", directory.display()), "")
}

#[test]
fn files_of_a_directory_are_joined_in_the_order_of_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let second = write(
        dir,
        "20-web.toml",
        "[[listen]]\nname = \"web\"\nbind = \":80\"\nsource = { file = \"nodes.list\" }\n[global]\npin = true\n",
    );
    let first = write(
        dir,
        "10-global.toml",
        "[global]\nworkers = 2\n[defaults.timeouts]\nclient = \"7s\"\n[backend]\nname = \"first\"\n",
    );
    write(dir, "ignored.conf", "nonsense");
    write(dir, ".hidden.toml", "nonsense");
    let more = write(
        dir,
        "more",
        "[[listen]]\nname = \"db\"\nbind = \":81\"\n[[backend]]\nname = \"last\"\n[defaults.timeouts]\nserver = \"8s\"\n",
    );
    let loaded = load(&[dir.to_owned(), more.clone()]).unwrap();
    assert_eq!(loaded.files, [first, second, more]);
    assert_eq!(loaded.directories, [dir.to_owned()]);
    let config = loaded.config;
    assert_eq!((config.global.workers, config.global.pin), (Some(2), true));
    let names: Vec<_> = config.backends.iter().map(|b| &*b.name).collect();
    assert_eq!(names, ["first", "web", "db", "last"]);
    let seconds = Duration::from_secs;
    assert_eq!(config.frontends[0].timeouts.client, seconds(7));
    assert_eq!(config.backends[0].timeouts.server, seconds(8));
    assert_eq!(
        config.backends[1].sources,
        [Source::File(dir.join("nodes.list"))]
    );
}

#[test]
fn what_two_files_give_twice_shows_both_places() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let a = write(
        dir,
        "a.toml",
        "[global]\nworkers = 2\n[[listen]]\nname = \"web\"\nbind = \":80\"\n",
    );
    let b = write(
        dir,
        "b.toml",
        "[global]\nworkers = 3\n[[listen]]\nname = \"web\"\nbind = \":81\"\n",
    );
    let errors = load(&[a.clone(), b]).unwrap_err();
    assert_eq!(
        said(&errors, dir),
        r#"error: `workers` is given twice
 --> b.toml:2:1
  |
2 | workers = 3
  | ^^^^^^^ again
  |
 ::: a.toml:2:1
  |
2 | workers = 2
  | ------- first given here

error: two backends are called `web`
 --> b.toml:4:8
  |
4 | name = "web"
  |        ^^^^^ again
  |
 ::: a.toml:4:8
  |
4 | name = "web"
  |        ----- first given here

error: two frontends are called `web`
 --> b.toml:4:8
  |
4 | name = "web"
  |        ^^^^^ again
  |
 ::: a.toml:4:8
  |
4 | name = "web"
  |        ----- first given here

3 problems
"#
    );
    let errors = load(&[a.clone(), a]).unwrap_err();
    assert_eq!(
        said(&errors, dir),
        "error: a.toml is named twice\n\n1 problem\n"
    );
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let empty = dir.join("empty");
    fs::create_dir(&empty).unwrap();
    let latin = dir.join("latin.toml");
    fs::write(&latin, b"# one\nname = \"\xe4\"\n").unwrap();
    let bad = write(dir, "bad.toml", "[global]\nworkers = 0\n");
    let errors = load(&[dir.join("none.toml"), empty, latin, bad]).unwrap_err();
    assert_eq!(
        said(&errors, dir),
        "error: no *.toml in the directory empty\n\n\
         error: cannot read none.toml: No such file or directory (os error 2)\n\n\
         error: latin.toml line 2: not UTF-8\n\n\
         error: `workers` takes \"auto\" or a number, 1 to 1024\n --> bad.toml:2:11\n  |\n\
         2 | workers = 0\n  |           ^ out of range\n\n\
         4 problems\n"
    );
}

#[test]
fn names_are_looked_up_for_the_configuration_alone() {
    let text = "server = [\"10.0.0.1:80\", \"db.internal:80\"]\n";
    let errors = parse_servers("nodes.toml", text, &|_| None).unwrap_err();
    let rendered = errors.render(false);
    assert!(
        rendered.contains("a server file has addresses, no names"),
        "{rendered}"
    );
    assert_eq!(errors.errors().len(), 1);
}
