//! A headless Chromium that is told over two pipes what to do, in the DevTools protocol: JSON that ends with a NUL.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Set where a browser must be there: `.ci/browser`.
const INSIST: &str = "PARFORK_BROWSER";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// A browser with one tab, ended when dropped.
pub(crate) struct Browser {
    child: Child,
    orders: File,
    news: Receiver<Value>,
    session: String,
    last: Cell<u64>,
    _profile: tempfile::TempDir,
}

/// What a page did while it was looked at.
#[derive(Default, Debug)]
pub(crate) struct Visit {
    pub(crate) errors: Vec<String>,
    pub(crate) requests: Vec<String>,
}

/// A pipe's ends, at numbers that are not needed for anything else.
fn pipe() -> (File, File) {
    let (reader, writer) = std::io::pipe().unwrap();
    let high = |fd: i32| {
        // SAFETY: a live descriptor and a number; the result is new and ours alone.
        let fd = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10) };
        assert!(fd >= 10);
        // SAFETY: as said.
        unsafe { File::from_raw_fd(fd) }
    };
    (high(reader.as_raw_fd()), high(writer.as_raw_fd()))
}

impl Browser {
    /// The one that is installed; `None`, and a word on stderr, if none is and none must be.
    pub(crate) fn start() -> Option<Self> {
        let (commands, orders) = pipe();
        let (answers, said) = pipe();
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-pipe", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let (read, write) = (commands.as_raw_fd(), said.as_raw_fd());
        let hand_over = move || {
            // SAFETY: live descriptors; 3 and 4 are where the browser looks for its pipes.
            let done = unsafe { libc::dup2(read, 3) };
            // SAFETY: as above.
            let also = unsafe { libc::dup2(write, 4) };
            if done == 3 && also == 4 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        };
        // SAFETY: system calls only.
        unsafe { command.pre_exec(hand_over) };
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if std::env::var_os(INSIST).is_none() => {
                eprintln!("not tested: there is no chromium ({error}); .ci/browser installs it");
                return None;
            }
            Err(error) => panic!("chromium cannot be started: {error}"),
        };
        drop((commands, said));
        let (tell, news) = channel();
        std::thread::spawn(move || {
            let mut answers = BufReader::new(answers);
            let mut text = Vec::new();
            while answers.read_until(0, &mut text).is_ok_and(|length| length > 0) {
                text.pop();
                let _ = serde_json::from_slice(&text).map(|value: Value| tell.send(value));
                text.clear();
            }
        });
        let mut browser = Self { child, orders, news, session: String::new(), last: Cell::new(0), _profile: profile };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let session = browser.ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Gives an order and waits for its result.
    pub(crate) fn ask(&self, method: &str, parameters: Value) -> Value {
        self.ask_and_watch(method, parameters, &mut Visit::default())
    }

    fn ask_and_watch(&self, method: &str, parameters: Value, visit: &mut Visit) -> Value {
        let id = self.last.get() + 1;
        self.last.set(id);
        let mut order = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            order["sessionId"] = json!(self.session);
        }
        (&self.orders).write_all(format!("{order}\0").as_bytes()).unwrap();
        loop {
            let news = self.news.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{method}: {error}"));
            if news["id"] == id {
                assert!(news["error"].is_null(), "{method}: {news}");
                return news["result"].clone();
            }
            visit.note(&news);
        }
    }

    /// Opens a file and waits until it is there; what it did meanwhile.
    pub(crate) fn visit(&self, path: &Path) -> Visit {
        let mut visit = Visit::default();
        self.ask_and_watch("Page.navigate", json!({ "url": format!("file://{}", path.display()) }), &mut visit);
        loop {
            let news = self.news.recv_timeout(PATIENCE).expect("the page loads");
            visit.note(&news);
            if news["method"] == "Page.loadEventFired" {
                break;
            }
        }
        // What it still has to say is said before the answer to this.
        self.ask_and_watch("Runtime.evaluate", json!({ "expression": "1" }), &mut visit);
        visit
    }

    /// The value of an expression on the page.
    pub(crate) fn value(&self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// How wide the screen is, and whether the user likes it dark; with JavaScript or without.
    pub(crate) fn dress(&self, width: u32, dark: bool, scripts: bool) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", feature);
        self.ask("Emulation.setScriptExecutionDisabled", json!({ "value": !scripts }));
    }

    /// Presses a key.
    pub(crate) fn press(&self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.ask("Input.dispatchKeyEvent", event);
        }
    }

    /// A picture of the whole page, to be looked at, where a folder for those is named.
    pub(crate) fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("PARFORK_SCREENSHOTS") else { return };
        let shot = self.ask("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        use base64::Engine as _;
        let png = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), png).unwrap();
    }
}

impl Visit {
    fn note(&mut self, news: &Value) {
        let parameters = &news["params"];
        match news["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.errors.push(parameters["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" => self.errors.push(parameters["args"].to_string()),
            "Log.entryAdded" => self.errors.push(parameters["entry"]["text"].to_string()),
            "Network.requestWillBeSent" => {
                self.requests.push(parameters["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
