//! A browser that a test drives: Chromium over its DevTools protocol, through pipes.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::chromium::FLAGS;
use super::{Part, find};
use crate::support::process::temp_dir;
use crate::support::{Process, dawdle, wait_until};

/// One page of a browser with a new, empty profile.
#[derive(Debug)]
pub(crate) struct Browser {
    #[expect(dead_code, reason = "held for its drop")]
    process: Process,
    #[expect(dead_code, reason = "held for its drop")]
    profile: TempDir,
    to: File,
    from: Receiver<Value>,
    last: Cell<u64>,
    session: Option<String>,
}

/// A browser that starts on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens one; `None` = there is no Chromium.
#[track_caller]
pub(crate) fn browser() -> Option<Browser> {
    browser_with(&[])
}

/// One to which every `*.test` is this machine, and which takes certificates of the key with
/// this hash (`authority::key_hash`), but of no other: as if its authority were known.
#[track_caller]
pub(crate) fn browser_trusting(key_hash: &str) -> Option<Browser> {
    browser_with(&[
        &format!("--ignore-certificate-errors-spki-list={key_hash}"),
        "--host-resolver-rules=MAP *.test 127.0.0.1",
    ])
}

#[track_caller]
fn browser_with(flags: &[&str]) -> Option<Browser> {
    let program = find(Part::Chromium)?;
    let (dir, profile) = (temp_dir(), temp_dir());
    let pipes = ["to", "from"].map(|name| dir.path().join(name));
    for pipe in &pipes {
        let made = Command::new("mkfifo").arg(pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    }
    // The protocol is spoken on descriptors 3 and 4, which a shell can open.
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$@\" 3<\"$TO\" 4>\"$FROM\"", "sh"])
        .arg(program)
        .args(FLAGS)
        .args(flags)
        .args(["--remote-debugging-pipe", "--hide-scrollbars", "--lang=en"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .env("TO", &pipes[0])
        .env("FROM", &pipes[1]);
    let process = Process::start(&mut command, dir);
    let mut browser = Browser {
        to: open(&pipes[0], true),
        from: listen(open(&pipes[1], false)),
        process,
        profile,
        last: Cell::new(0),
        session: None,
    };
    let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
    let attach = json!({ "targetId": target["targetId"], "flatten": true });
    let session = browser.call("Target.attachToTarget", attach)["sessionId"].clone();
    browser.session = session.as_str().map(str::to_owned);
    browser.call("Page.enable", json!({}));
    Some(browser)
}

/// Waits for the other side, as a FIFO does.
fn open(pipe: &Path, write: bool) -> File {
    let mut options = OpenOptions::new();
    options.read(!write).write(write);
    options.open(pipe).expect("a FIFO of ours")
}

/// Messages end with a NUL.
fn listen(pipe: File) -> Receiver<Value> {
    let (messages, receiver) = channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut message = Vec::new();
        while let Ok(1..) = pipe.read_until(0, &mut message) {
            message.pop();
            let value = serde_json::from_slice(&message).expect("the protocol is JSON");
            message.clear();
            if messages.send(value).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Browser {
    /// Loads a page and waits until it has.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// The value of an expression.
    #[track_caller]
    pub(crate) fn eval(&self, expression: &str) -> Value {
        let asked = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let said = self.call("Runtime.evaluate", asked);
        let failed = &said["exceptionDetails"];
        assert!(failed.is_null(), "{expression}: {failed}");
        said["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(expression) != true {
            assert!(Instant::now() < deadline, "never: {expression}");
            dawdle(Duration::from_millis(50));
        }
    }

    /// A click of the mouse in the middle of what an expression finds.
    #[track_caller]
    pub(crate) fn click(&self, element: &str) {
        // As a person does: once it is there, stands still and nothing lies over it.
        let look = format!(
            "(async e => {{ if (!e) return null; e.scrollIntoView({{ block: 'center' }}); \
             const at = () => {{ const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }}; \
             const seen = at(); for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame); const now = at(); \
             const top = document.elementFromPoint(...now); \
             return `${{seen}}` === `${{now}}` && e.contains(top) ? now : null; }})({element})"
        );
        let mut middle = Value::Null;
        wait_until(PATIENCE, &format!("{element} can be clicked"), || {
            middle = self.eval(&look);
            !middle.is_null()
        });
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types a text where the focus is.
    #[track_caller]
    pub(crate) fn type_text(&self, text: &str) {
        for c in text.chars() {
            self.key(&c.to_string(), &c.to_string());
        }
    }

    /// One key; `text` is what it writes, if anything.
    #[track_caller]
    pub(crate) fn key(&self, key: &str, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": key, "text": text });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// The size of the page, in its own pixels.
    #[track_caller]
    pub(crate) fn size(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the system prefers.
    #[track_caller]
    pub(crate) fn prefer_dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    }

    /// What is seen, as PNG.
    #[track_caller]
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let said = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let text = said["data"].as_str().expect("a picture");
        STANDARD.decode(text).expect("base64")
    }

    #[track_caller]
    fn call(&self, method: &str, params: Value) -> Value {
        let id = self.last.get() + 1;
        self.last.set(id);
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        (&self.to).write_all(&bytes).expect("the browser listens");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.from.recv_timeout(left) {
                Ok(message) if message["id"] == id => {
                    assert!(message["error"].is_null(), "{method}: {message}");
                    return message["result"].clone();
                }
                // Events, which nobody has asked for.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("{method}: no answer"),
                Err(RecvTimeoutError::Disconnected) => panic!("{method}: the browser is gone"),
            }
        }
    }
}
