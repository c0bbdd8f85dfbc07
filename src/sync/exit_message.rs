//! What a worker says of why it did not finish, and how that is written in its slot.

use crate::error::ControlPageDamage;
use crate::sys::exit::Exit;

/// What a worker said of why it did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExitMessage {
    /// The body panicked.
    Panicked { message: String, location: String },
    /// The body returned an error.
    BodyFailed { reason: String },
    /// The program that it watched over ended; whether that had read an order by then.
    ProgramExited { exit: Exit, pid: u32, began: bool, program: String },
    /// Words of the control page were not what they should be.
    Damaged { what: ControlPageDamage },
}

impl ExitMessage {
    /// As it is kept: its kind, which is not 0, and a text.
    pub(super) fn written(&self) -> (u32, String) {
        match self {
            Self::Panicked { message, location } => (1, format!("{location}\0{message}")),
            Self::BodyFailed { reason } => (2, reason.clone()),
            Self::ProgramExited { exit, pid, program, began } => {
                (3, format!("{} {pid} {} {program}", exit.word(), u32::from(*began)))
            }
            Self::Damaged { what: ControlPageDamage::Dealt { slice } } => (4, slice.to_string()),
            Self::Damaged { what: ControlPageDamage::Steps { slice } } => (4, format!("steps {slice}")),
            Self::Damaged { .. } => (4, String::new()),
        }
    }

    /// What is kept so. Whoever wrote it may have been mad.
    pub(super) fn read(kind: u32, text: &str) -> Option<Self> {
        Some(match kind {
            1 => {
                let (location, message) = text.split_once('\0').unwrap_or(("", text));
                Self::Panicked { message: message.to_owned(), location: location.to_owned() }
            }
            2 => Self::BodyFailed { reason: text.to_owned() },
            3 => {
                let mut words = text.splitn(4, ' ');
                let exit = words.next().and_then(|word| word.parse().ok()).and_then(Exit::of);
                let pid = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
                let began = words.next() != Some("0");
                let program = words.next().unwrap_or_default().to_owned();
                Self::ProgramExited { exit: exit.unwrap_or(Exit::Unknown), pid, program, began }
            }
            4 => {
                let what = match text.strip_prefix("steps ") {
                    Some(slice) => slice.parse().map(|slice| ControlPageDamage::Steps { slice }),
                    None => text.parse().map(|slice| ControlPageDamage::Dealt { slice }),
                };
                Self::Damaged { what: what.unwrap_or(ControlPageDamage::Descriptor) }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let program = |began| ExitMessage::ProgramExited {
            exit: Exit::Status(3),
            pid: 4711,
            began,
            program: "a name with spaces".to_owned(),
        };
        for message in [
            ExitMessage::Panicked { message: "a\0b".to_owned(), location: "f.rs:1:2".to_owned() },
            ExitMessage::BodyFailed { reason: String::new() },
            program(true),
            program(false),
            ExitMessage::Damaged { what: ControlPageDamage::Dealt { slice: 7 } },
            ExitMessage::Damaged { what: ControlPageDamage::Steps { slice: 7 } },
            ExitMessage::Damaged { what: ControlPageDamage::Descriptor },
        ] {
            let (kind, text) = message.written();
            assert_eq!(ExitMessage::read(kind, &text), Some(message));
        }
        let nonsense = ["", "x", "9 9 9", "\0\0", "1 2 3 4 5 6"]
            .map(|text| (0..9).filter_map(|kind| ExitMessage::read(kind, text)).count());
        assert_eq!(nonsense, [4; 5]);
    }
}
