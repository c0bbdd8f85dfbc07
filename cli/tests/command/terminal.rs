//! A terminal for a command: somebody who sees its screen and presses keys.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::fixture::{Fixture, until, watched};

/// A command on a terminal of its own.
pub(crate) struct Terminal {
    master: File,
    /// Reads until the other end is dropped.
    reader: Option<(JoinHandle<()>, PipeWriter)>,
    child: Option<Child>,
    screen: Arc<Mutex<vt100::Parser>>,
    sent: Arc<Mutex<Vec<u8>>>,
    before: libc::termios,
}

impl Terminal {
    /// Runs a command on a terminal of so many rows and columns, which it controls as a shell's terminal would. It is xterm's if the
    /// command is told of no other.
    pub(crate) fn run(mut command: Command, rows: u16, columns: u16) -> Self {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut master, mut slave) = (-1, -1);
        // SAFETY: two live integers to fill, no name wanted, no attributes given, and a live size.
        let failed =
            unsafe { libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null(), &size) } != 0;
        assert!(!failed, "no terminal to be had");
        // SAFETY: the call above has just made it for us alone.
        let master = unsafe { File::from_raw_fd(master) };
        // SAFETY: as above.
        let slave = unsafe { OwnedFd::from_raw_fd(slave) };
        // Else the command has the other end too, and never sees the terminal closed.
        // SAFETY: an integer and a flag.
        unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        let take_control = || {
            nix::unistd::setsid()?;
            // SAFETY: a descriptor of this process, which is about to run the command, and a number.
            let failed = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } < 0;
            if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        };
        // SAFETY: it makes system calls only.
        unsafe { command.pre_exec(take_control) };
        let before = attributes(&master);
        let end = || Stdio::from(slave.try_clone().unwrap());
        if !command.get_envs().any(|(name, _)| name == "TERM") {
            command.env("TERM", "xterm-256color");
        }
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop(command);
        drop(slave);
        let [tall, wide] = [rows, columns].map(|length| NonZeroU16::new(length).unwrap());
        let screen = Arc::new(Mutex::new(vt100::Parser::new(tall, wide, 1000)));
        let (mut from, seen) = (master.try_clone().unwrap(), screen.clone());
        let sent = Arc::<Mutex<Vec<u8>>>::default();
        let all = sent.clone();
        let (stop, stopped) = std::io::pipe().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while readable(&from, &stop) {
                let Ok(many @ 1..) = from.read(&mut bytes) else { break };
                seen.lock().unwrap().process(&bytes[..many]);
                all.lock().unwrap().extend(&bytes[..many]);
            }
        });
        Self { master, reader: Some((reader, stopped)), child: Some(child), screen, sent, before }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What is on the screen now.
    pub(crate) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// All that it was sent so far.
    pub(crate) fn sent(&self) -> Vec<u8> {
        self.sent.lock().unwrap().clone()
    }

    /// Whether anything on the screen has a colour.
    pub(crate) fn has_colours(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        let (rows, columns) = parser.screen().size();
        let mut cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
        cells.any(|(row, column)| {
            parser.screen().cell(row, column).is_some_and(|cell| cell.fgcolor() != vt100::Color::Default)
        })
    }

    /// Waits until the screen is as it should be.
    pub(crate) fn shows(&self, mut what: impl FnMut(&str) -> bool) {
        let last = std::cell::RefCell::new(String::new());
        let told = Told(&last);
        until(|| {
            let text = self.text();
            let is = what(&text);
            *last.borrow_mut() = text;
            is
        });
        std::mem::forget(told);
    }

    /// Presses keys.
    pub(crate) fn press(&self, keys: &str) {
        (&self.master).write_all(keys.as_bytes()).unwrap();
    }

    /// Whether the terminal is as it was before: the usual screen, a cursor, letters that are echoed.
    fn is_given_back(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        let now = attributes(&self.master);
        let flags = |it: &libc::termios| (it.c_iflag, it.c_oflag, it.c_cflag, it.c_lflag);
        !parser.screen().alternate_screen() && !parser.screen().hide_cursor() && flags(&now) == flags(&self.before)
    }

    /// Waits for the end of the command; the terminal must be what it was then.
    pub(crate) fn end(mut self) -> ExitStatus {
        let status = watched("on a terminal", self.child.take().unwrap()).status;
        // What it wrote last is on its way.
        until(|| self.is_given_back());
        status
    }

    /// Closes the terminal and waits for the end of the command.
    pub(crate) fn close(mut self) -> ExitStatus {
        let child = self.child.take().unwrap();
        drop(self);
        watched("on a terminal that was closed", child).status
    }
}

/// Waits until there is something to read, or the other end of `stop` is gone: false then.
fn readable(from: &File, stop: &PipeReader) -> bool {
    let poll = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut both = [poll(from.as_raw_fd()), poll(stop.as_raw_fd())];
    // SAFETY: two live records, and their number.
    unsafe { libc::poll(both.as_mut_ptr(), 2, -1) };
    both[1].revents == 0
}

/// Shows the screen if the test fails while it waits.
struct Told<'t>(&'t std::cell::RefCell<String>);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        eprintln!("the screen was:\n{}", self.0.borrow());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some((reader, stopped)) = self.reader.take() {
            drop(stopped);
            let _ = reader.join();
        }
    }
}

fn attributes(terminal: &File) -> libc::termios {
    // SAFETY: plain integers, for which all zero is a value.
    let mut attributes = unsafe { std::mem::zeroed() };
    // SAFETY: a descriptor of this process and a live record to fill.
    assert_eq!(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &mut attributes) }, 0);
    attributes
}

/// Of a terminal that is paper (an editor's, a log's), nothing is asked that it does not understand.
#[test]
fn a_terminal_that_is_paper_is_sent_letters_alone() {
    paper_is_sent_letters(&[]);
}

/// Nor is it where the machine says that it builds and tests, or that colours are welcome where they can be shown.
#[test]
fn paper_is_sent_letters_alone_where_colours_are_welcome() {
    paper_is_sent_letters(&[("CI", "true"), ("CLICOLOR", "1"), ("COLORTERM", "truecolor")]);
}

/// Who asks for colours has them anywhere, and nobody else has them in a file.
#[test]
fn help_is_coloured_in_a_file_where_that_is_asked_for() {
    let fixture = Fixture::new();
    for (value, is_coloured) in [(None, false), (Some(""), false), (Some("1"), true)] {
        let mut command = fixture.command("--help");
        command.env("TERM", "dumb").envs(value.map(|value| ("CLICOLOR_FORCE", value)));
        let help = command.output().unwrap().stdout;
        assert_eq!(help.contains(&b'\x1b'), is_coloured, "{value:?}");
    }
}

fn paper_is_sent_letters(environment: &[(&str, &str)]) {
    let fixture = Fixture::with_inputs();
    for (line, last) in [
        ("matmul a.npy b.npy -o c.npy", "with files"),
        ("mandelbrot -o set.png --size 900x900 --iterations 9000 --center=-0.1,0 --zoom 50", "with files"),
        ("image photo.png photo.png -o {stem}{ext}.tif -f gray", "parfork"),
        ("image photo.png -o out/ -f gaussian:9", "1 of 1 picture"),
        ("plan 64x64 --split rows=4 -n 3 --cost linear --animate", "all done at"),
        ("scale --workers 1,2 --repeat 2 -o runs sum a.npy", "runs"),
        ("explain --step", "memory"),
        ("top", "no terminal that jobs can be shown on"),
        ("--help", "Usage"),
        ("image --no-such-flag", "no-such-flag"),
    ] {
        let mut command = fixture.command(line);
        command.env("TERM", "dumb").envs(environment.iter().copied());
        let terminal = Terminal::run(command, 50, 200);
        let mut answered = false;
        terminal.shows(|text| {
            if text.contains("[Enter: go on]") && !std::mem::replace(&mut answered, true) {
                terminal.press(&"\n".repeat(50));
            }
            String::from_utf8_lossy(&terminal.sent()).contains(last)
        });
        let sent = terminal.sent.clone();
        terminal.end();
        let sent = String::from_utf8_lossy(&sent.lock().unwrap()).into_owned();
        assert!(!sent.contains(['\x1b', '\x08']), "{line}: {sent:?}");
        assert!(!sent.replace("\r\n", "").contains('\r'), "{line}: {sent:?}");
    }
}
