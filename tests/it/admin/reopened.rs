//! Admin sockets come and go with the file, without a restart.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::support::{PATIENCE, RawClient, Rlb, answers, free_addr, temp_dir, wait_until};

/// One rlb whose file is written anew, and a place for its sockets.
struct Written {
    rlb: Rlb,
    bind: std::net::SocketAddr,
    dir: tempfile::TempDir,
}

impl Written {
    fn with(admin: impl Fn(&Path) -> String) -> Self {
        let (bind, dir) = (free_addr(), temp_dir());
        let first = text(bind, 1, &admin(dir.path()));
        // Not waited for by its path, which may be a table.
        let rlb = Rlb::with(first).ready_on(bind).start();
        let written = Self { rlb, bind, dir };
        wait_until(PATIENCE, "the first socket is there", || {
            UnixStream::connect(written.path("a")).is_ok()
        });
        written
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the file, and reloads through this socket: its answer.
    fn reload(&self, through: &Path, weight: u32, admin: &str) -> String {
        // Before: whoever follows the file may be faster.
        let client = UnixStream::connect(through).unwrap();
        let temporary = self.rlb.dir().join("next");
        std::fs::write(&temporary, text(self.bind, weight, admin)).unwrap();
        std::fs::rename(temporary, self.rlb.dir().join("lb.toml")).unwrap();
        ask_over(client, "reload")
    }
}

fn text(bind: std::net::SocketAddr, weight: u32, admin: &str) -> String {
    format!(
        "[global]\nworkers = 1\nadmin = [{admin}]\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\n\
         server = {{ name = \"s1\", address = \"127.0.0.1:9\", weight = {weight} }}\n"
    )
}

fn ask(socket: &Path, command: &str) -> String {
    ask_over(UnixStream::connect(socket).unwrap(), command)
}

fn ask_over(mut stream: UnixStream, command: &str) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(stream, "{command}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.trim_end().to_owned()
}

fn table(path: &Path, more: &str) -> String {
    format!("{{ path = \"{}\"{more} }}", path.display())
}

#[test]
fn sockets_are_opened_changed_and_closed_by_a_reload() {
    let written = Written::with(|dir| table(&dir.join("a"), ""));
    let (a, b, tcp) = (written.path("a"), written.path("b"), free_addr());
    let over_tcp = |command: &str| {
        let answer = RawClient::connect(tcp).send(command).read_until_close();
        String::from_utf8(answer).unwrap()
    };
    let mut before = UnixStream::connect(&a).unwrap();
    writeln!(before, "prompt").unwrap();

    // Another mode for the first, a second, and a third over TCP.
    let sockets = [
        table(&a, ", mode = \"0660\""),
        table(&b, ", level = \"operator\""),
        format!("{{ bind = \"{tcp}\" }}"),
    ];
    let answer = written.reload(&a, 1, &sockets.join(", "));
    for line in [
        format!("admin socket {} changed", a.display()),
        format!("admin socket {} opened", b.display()),
        format!("admin socket {tcp} opened"),
    ] {
        assert!(
            answer.contains(&line) || answer.contains("nothing changed"),
            "{answer}"
        );
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&a), mode(&b)), (0o660, 0o600));
    assert_eq!(ask(&a, "show cli level"), "admin");
    assert_eq!(ask(&b, "show cli level"), "operator");
    assert_eq!(over_tcp("show cli level\n"), "admin\n\n");
    assert_eq!(std::fs::read_dir(written.dir.path()).unwrap().count(), 2);

    // The same TCP socket with less power; the first path leaves.
    let sockets = [
        table(&b, ""),
        format!("{{ bind = \"{tcp}\", level = \"user\" }}"),
    ];
    let answer = written.reload(&a, 1, &sockets.join(", "));
    assert!(answer.starts_with("Success=1\n--\n"), "{answer}");
    assert!(!a.exists() && b.exists());
    assert_eq!(ask(&b, "show cli level"), "admin");
    assert_eq!(over_tcp("show cli level\n"), "user\n\n");
    assert_eq!(over_tcp("reload\n"), "Permission denied\n\n");
    let listed = ask(&b, "show cli sockets");
    assert!(!listed.contains(&a.display().to_string()), "{listed}");

    // Who was in before all this is still in.
    before.set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(before, "show cli level\nquit").unwrap();
    let mut conversation = String::new();
    before.read_to_string(&mut conversation).unwrap();
    assert!(conversation.contains("admin"), "{conversation}");

    let answer = written.reload(&b, 1, &table(&b, ""));
    assert!(answer.starts_with("Success=1\n--\n"), "{answer}");
    assert!(!answers(tcp));
}

#[test]
fn a_socket_that_cannot_be_opened_refuses_the_whole_file() {
    let written = Written::with(|dir| table(&dir.join("a"), ""));
    let (a, b) = (written.path("a"), written.path("b"));
    let nowhere = written.path("none/c");
    let sockets = [table(&b, ""), table(&nowhere, "")].join(", ");
    let answer = written.reload(&a, 7, &sockets);
    assert!(answer.starts_with("Success=0\n--\n"), "{answer}");
    assert!(answer.contains("none/c: No such file"), "{answer}");
    assert_eq!(ask(&a, "get weight web/s1"), "1 (initial 1)");
    let names = std::fs::read_dir(written.dir.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a"], "nothing is left of the other");

    // Somebody else's is not taken.
    let _other = std::os::unix::net::UnixListener::bind(&b).unwrap();
    let answer = written.reload(&a, 7, &table(&b, ""));
    assert!(answer.contains("another process listens there"), "{answer}");
    let answer = written.reload(&a, 7, &table(&a, ""));
    assert!(answer.starts_with("Success=1\n"), "{answer}");
    assert_eq!(ask(&a, "get weight web/s1"), "7 (initial 7)");
}
