//! The types that settings have: as words for a crew's workers, which were forked before the job was known, and as a value to show.

use std::time::Duration;

use crate::slices::{Schedule, Split};

/// What a setting is set to, for those who show it; `None` if it is not set and has the default that its description says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// Whether something is done.
    Flag(bool),
    /// How many, or the number of one.
    Number(Option<u64>),
    /// Bytes of memory.
    Bytes(Option<u64>),
    /// A span of time.
    Time(Option<Duration>),
    /// A choice, as it is written on the command line.
    Choice(Option<String>),
}

/// The type of a setting.
pub(crate) trait SettingType: Sized {
    /// Appends it as words.
    fn write(&self, words: &mut Vec<u64>);

    /// Reads what [`write`](Self::write) wrote; `None` if it is not that.
    fn read(words: &mut impl Iterator<Item = u64>) -> Option<Self>;

    /// As it is shown; of nothing where an optional setting is not set.
    fn value(set: Option<&Self>) -> SettingValue;
}

impl<T: SettingType> SettingType for Option<T> {
    fn write(&self, words: &mut Vec<u64>) {
        words.push(u64::from(self.is_some()));
        self.iter().for_each(|set| set.write(words));
    }

    fn read(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
        match words.next()? {
            0 => Some(None),
            _ => T::read(words).map(Some),
        }
    }

    fn value(set: Option<&Self>) -> SettingValue {
        T::value(set.and_then(Option::as_ref))
    }
}

impl SettingType for bool {
    fn write(&self, words: &mut Vec<u64>) {
        words.push(u64::from(*self));
    }

    fn read(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
        words.next().map(|word| word != 0)
    }

    fn value(set: Option<&Self>) -> SettingValue {
        SettingValue::Flag(set == Some(&true))
    }
}

/// Implements it for whole numbers, and says what they count.
macro_rules! whole_number {
    ($($type:ty => $counts:ident),*) => {
        $(impl SettingType for $type {
            fn write(&self, words: &mut Vec<u64>) {
                words.push(*self as u64);
            }

            fn read(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
                words.next()?.try_into().ok()
            }

            fn value(set: Option<&Self>) -> SettingValue {
                SettingValue::$counts(set.map(|&number| number as u64))
            }
        })*
    };
}

whole_number!(u32 => Number, usize => Number, u64 => Bytes);

/// In nanoseconds; what takes centuries takes as many as there can be.
impl SettingType for Duration {
    fn write(&self, words: &mut Vec<u64>) {
        words.push(u64::try_from(self.as_nanos()).unwrap_or(u64::MAX));
    }

    fn read(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
        words.next().map(Self::from_nanos)
    }

    fn value(set: Option<&Self>) -> SettingValue {
        SettingValue::Time(set.copied())
    }
}

impl SettingType for Split {
    fn write(&self, words: &mut Vec<u64>) {
        words.extend(self.words());
    }

    fn read(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
        Self::of_words([words.next()?, words.next()?, words.next()?, words.next()?])
    }

    fn value(set: Option<&Self>) -> SettingValue {
        SettingValue::Choice(set.map(ToString::to_string))
    }
}

impl SettingType for Schedule {
    fn write(&self, words: &mut Vec<u64>) {
        words.push(self.word());
    }

    fn read(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
        words.next().map(Self::of_word)
    }

    fn value(set: Option<&Self>) -> SettingValue {
        SettingValue::Choice(set.map(ToString::to_string))
    }
}
