//! The terminal as a screen to draw on and keys to press, given back as it was however the command ends.

mod line;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use parfork::{CancelToken, SignalGuard};

use crate::failure::Failure;
pub use line::{Colour, Line, Shown, Style};

/// A key that somebody pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Letter(char),
    Up,
    Down,
    Left,
    Right,
    Tab,
    Enter,
    Escape,
}

/// The terminal while it is a screen. Dropping it gives it back.
pub struct Screen {
    shown: Shown,
    /// Signals are looked at here, and end the process only when the terminal is what it was.
    _hold: SignalGuard,
}

/// What the terminal is to be again.
static TAKEN: Mutex<Option<Termios>> = Mutex::new(None);

/// The other screen, without a cursor; what is too long for a line, as wide characters may be, is cut off by the terminal.
const TAKE: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const GIVE_BACK: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// Whether there is a terminal to read keys from and to draw on.
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && understands_sequences()
}

/// Whether standard error is a terminal, where a line can be taken away again.
pub fn can_erase() -> bool {
    io::stderr().is_terminal() && understands_sequences()
}

/// Whether a terminal is said to be more than paper: editors and logs show what is sent to it as it is.
fn understands_sequences() -> bool {
    std::env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

/// Whether colours are welcome (<https://no-color.org>).
pub fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether help and errors of usage are coloured. The parser colours them on any terminal where `CI` or `CLICOLOR` is set,
/// also on paper, which shows the sequences as letters; who says `CLICOLOR_FORCE` has them everywhere (<https://bixense.com/clicolors>).
pub fn help_colours() -> clap::ColorChoice {
    let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty());
    if understands_sequences() || forced { clap::ColorChoice::Auto } else { clap::ColorChoice::Never }
}

impl Screen {
    /// Takes the terminal.
    pub fn open() -> Result<Self, Failure> {
        let hold = CancelToken::hold();
        // A panic's message is for the terminal as it was.
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            told(info);
        }));
        let take = || {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
            tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
            send(TAKE)
        };
        take().map_err(gone).inspect_err(|_| give_back())?;
        Ok(Self { shown: Shown::default(), _hold: hold })
    }

    /// Draws the lines that there are to be on so many columns and rows.
    pub fn draw(&mut self, lines: impl FnOnce(usize, usize) -> Vec<Line>) -> Result<(), Failure> {
        let size = terminal_size::terminal_size_of(io::stdout());
        let (width, height) = size.map_or((80, 24), |(width, height)| (usize::from(width.0), usize::from(height.0)));
        let change = self.shown.change(&lines(width, height), (width, height));
        unless_stopped(send(&change).map_err(gone))
    }

    /// The keys that were pressed, once there are some, or none after so long.
    ///
    /// Fails when a signal has asked to stop, or the terminal is gone.
    pub fn keys(&self, patience: Duration) -> Result<Vec<Key>, Failure> {
        unless_stopped(await_keys(patience))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// What came, unless a signal has asked to stop: a terminal that is closed says so twice, and this is the reason.
fn unless_stopped<T>(came: Result<T, Failure>) -> Result<T, Failure> {
    match CancelToken::at_signals()?.signal() {
        Some(signal) => Err(Failure::Stopped { signal, text: "stopped by a signal.".to_owned() }),
        None => came,
    }
}

/// The keys that were pressed, once there are some, or none after so long.
fn await_keys(patience: Duration) -> Result<Vec<Key>, Failure> {
    let mut bytes = [0; 256];
    let mut read = match await_input(patience)? {
        true => read(&mut bytes)?,
        false => return Ok(Vec::new()),
    };
    // The rest of a sequence may be on its way.
    while bytes[..read].ends_with(b"\x1b") && read < bytes.len() && await_input(Duration::from_millis(20))? {
        read += self::read(&mut bytes[read..])?;
    }
    Ok(understand(&bytes[..read]))
}

/// Makes the terminal what it was; once.
fn give_back() {
    if let Some(before) = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // If there is no terminal any more, there is nothing to give back.
        let _ = send(GIVE_BACK);
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &before);
    }
}

/// Writes to the terminal at once.
fn send(bytes: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(bytes.as_bytes())?;
    stdout.flush()
}

/// What drawing may fail with. A terminal that was closed is told by the signal for that, which comes sooner or later.
fn gone(error: io::Error) -> Failure {
    if error.raw_os_error() == Some(Errno::EIO as i32) {
        return closed();
    }
    Failure::job(format!("the terminal cannot be drawn on ({error}). Use a terminal, or --once or --json for scripts."))
}

/// The end of who has lost its terminal.
fn closed() -> Failure {
    Failure::Stopped { signal: Signal::SIGHUP as i32, text: "the terminal was closed.".to_owned() }
}

/// Whether there is input within some time; false also after a signal.
fn await_input(patience: Duration) -> Result<bool, Failure> {
    let stdin = io::stdin();
    let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    match poll(&mut ready, patience) {
        Ok(0) | Err(Errno::EINTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) => Err(gone(error.into())),
    }
}

/// What was typed, which there is.
fn read(bytes: &mut [u8]) -> Result<usize, Failure> {
    match nix::unistd::read(io::stdin(), bytes) {
        Ok(0) | Err(Errno::EIO) => Err(closed()),
        Ok(many) => Ok(many),
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(0),
        Err(error) => Err(gone(error.into())),
    }
}

/// The keys that some bytes stand for. Ctrl-C, which is no signal on a raw terminal, is `q`.
fn understand(mut bytes: &[u8]) -> Vec<Key> {
    let sequences: [(&[u8], Key); 13] = [
        (b"\x1b[A", Key::Up),
        (b"\x1b[B", Key::Down),
        (b"\x1b[C", Key::Right),
        (b"\x1b[D", Key::Left),
        (b"\x1bOA", Key::Up),
        (b"\x1bOB", Key::Down),
        (b"\x1bOC", Key::Right),
        (b"\x1bOD", Key::Left),
        (b"\x1b", Key::Escape),
        (b"\t", Key::Tab),
        (b"\r", Key::Enter),
        (b"\n", Key::Enter),
        (b"\x03", Key::Letter('q')),
    ];
    let mut keys = Vec::new();
    while let [first, rest @ ..] = bytes {
        if let Some((sequence, key)) = sequences.iter().find(|(sequence, _)| bytes.starts_with(sequence)) {
            keys.push(*key);
            bytes = &bytes[sequence.len()..];
        } else {
            keys.extend((first.is_ascii_graphic() || *first == b' ').then_some(Key::Letter(char::from(*first))));
            bytes = rest;
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_understood() {
        use Key::{Down, Enter, Escape, Left, Letter, Right, Tab, Up};
        assert_eq!(understand(b"qk "), [Letter('q'), Letter('k'), Letter(' ')]);
        assert_eq!(understand(b"\x1b[A\x1b[B\x1bOC\x1b[D\t\r\x1b"), [Up, Down, Right, Left, Tab, Enter, Escape]);
        assert_eq!(understand(b"\x03\xff\x00"), [Letter('q')]);
    }
}
