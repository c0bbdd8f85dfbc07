//! Where an array of an .npz archive is: a zip of .npy files, as `numpy.savez` makes it.

use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::super::input::InputFile;
use crate::error::Result;

/// What such files begin with, if there is anything in them.
pub(crate) const MAGIC: &[u8] = b"PK\x03\x04";

/// The end of an archive is looked for in so many bytes at its end: a record of 22 and a comment.
const END: u64 = 22 + 0xFFFF;

/// A directory that is longer is not read.
const LONGEST: u64 = 16 << 20;

const DAMAGED: (&str, &str) = ("it is damaged, or no .npz archive at all", "fetch or save it again");

/// An array in the directory.
struct Entry {
    name: String,
    stored: bool,
    length: u64,
    /// Where its own header is.
    at: u64,
}

/// The bytes of the .npy file that is meant: the only one, or that of the name behind the archive's.
pub(super) fn array(source: &InputFile) -> Result<Range<u64>> {
    let damaged = || source.wrong(DAMAGED.0, DAMAGED.1);
    let entries = directory(source).ok_or_else(damaged)?;
    let names = || entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = match source.member() {
        Some(member) => entries.iter().find(|entry| member == entry.name.as_str()),
        None => entries.first().filter(|_| entries.len() == 1),
    };
    let Some(entry) = found else {
        let (count, path) = (entries.len(), source.path().display());
        let what = format!("it is an archive of {count} arrays ({})", names());
        let example = entries.first().map_or("NAME", |entry| &entry.name);
        return Err(match source.member() {
            Some(member) => {
                source.wrong(format!("{what}, none of which is called \"{}\"", member.display()), "name one of them")
            }
            None => source.wrong(what, format!("name one of them: {path}:{example}")),
        });
    };
    if !entry.stored {
        let name = &entry.name;
        let remedy =
            format!("save it with numpy.savez, or alone: numpy.save('{name}.npy', numpy.load(file)['{name}'])");
        return Err(source.wrong(format!("its array {name} is compressed"), remedy));
    }
    // Its own header has another length than what the directory says of it.
    let mut header = [0; 30];
    source.file().read_exact_at(&mut header, entry.at).map_err(|error| source.failed(&error))?;
    let start = entry.at + 30 + u64::from(short(&header, 26)) + u64::from(short(&header, 28));
    let end = start.checked_add(entry.length).filter(|&end| header.starts_with(MAGIC) && end <= source.len());
    end.map(|end| start..end).ok_or_else(damaged)
}

/// All .npy files of an archive; nothing if it has no directory that makes sense.
fn directory(source: &InputFile) -> Option<Vec<Entry>> {
    let read = |range: Range<u64>| {
        let mut bytes = vec![0; usize::try_from(range.end.checked_sub(range.start)?).ok()?];
        source.file().read_exact_at(&mut bytes, range.start).ok()?;
        Some(bytes)
    };
    let tail_at = source.len().saturating_sub(END);
    let tail = read(tail_at..source.len())?;
    let end = tail.windows(4).rposition(|four| four == b"PK\x05\x06")?;
    let record = tail.get(end..end + 22)?;
    let (mut length, mut at) = (u64::from(long(record, 12)), u64::from(long(record, 16)));
    if at == u64::from(u32::MAX) || short(record, 10) == u16::MAX {
        // A record of larger numbers, which another in front of this one tells the place of.
        let locator = tail.get(end.checked_sub(20)?..end).filter(|locator| locator.starts_with(b"PK\x06\x07"))?;
        let large = huge(locator, 8);
        let record = read(large..large.checked_add(56)?)?;
        (length, at) = (huge(&record, 40), huge(&record, 48));
    }
    let bytes = read(at..at.checked_add(length).filter(|_| length <= LONGEST)?)?;
    let mut rest = &bytes[..];
    let mut entries = Vec::new();
    while rest.starts_with(b"PK\x01\x02") && rest.len() >= 46 {
        let [name, extra, comment] = [28, 30, 32].map(|field| usize::from(short(rest, field)));
        let mut extras = rest.get(46 + name..46 + name + extra)?;
        let [mut packed, mut length, mut at] = [20, 24, 42].map(|field| u64::from(long(rest, field)));
        while extras.len() >= 4 {
            let size = usize::from(short(extras, 2));
            let field = extras.get(4..4 + size)?;
            if short(extras, 0) == 1 {
                // Those that do not fit above, in this order.
                let small = [&mut length, &mut packed, &mut at].into_iter().filter(|it| **it == u64::from(u32::MAX));
                small.zip(field.chunks_exact(8)).for_each(|(it, eight)| *it = huge(eight, 0));
            }
            extras = &extras[4 + size..];
        }
        let text = String::from_utf8_lossy(rest.get(46..46 + name)?).into_owned();
        if let Some(name) = text.strip_suffix(".npy") {
            entries.push(Entry { name: name.to_owned(), stored: short(rest, 10) == 0 && packed == length, length, at });
        }
        rest = rest.get(46 + name + extra + comment..)?;
    }
    Some(entries)
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(short(bytes, at)) | u32::from(short(bytes, at + 2)) << 16
}

fn huge(bytes: &[u8], at: usize) -> u64 {
    u64::from(long(bytes, at)) | u64::from(long(bytes, at + 4)) << 32
}
