//! EXIF: what a camera, or who worked on its picture, has noted; in the form of a TIFF file without a picture.

use super::MOST;
use super::directory::{ByteOrder, CAMERA, Entry, HEADER, ReadAt, bounded, first, read, written};

const ORIENTATION: u16 = 0x0112;
/// Pixels across and down: of the first directory, and of what the camera was set to.
const SIDES: [[u16; 2]; 2] = [[0x0100, 0x0101], [0xA002, 0xA003]];
/// Where a thumbnail is, and how long: a JPEG, or samples.
const THUMBNAIL: [[u16; 2]; 2] = [[0x0201, 0x0202], [0x0111, 0x0117]];

/// Tags of a TIFF's directory that are EXIF, and not how its picture is stored: what it shows, by what and by whom it was made and
/// when, which way up it is, its resolution, whose it is, and the directories within.
const OF_TIFF: [u16; 18] = [
    0x010E,
    0x010F,
    0x0110,
    ORIENTATION,
    0x011A,
    0x011B,
    0x0128,
    0x0131,
    0x0132,
    0x013B,
    0x013C,
    0x4746,
    0x8298,
    CAMERA,
    0x8825,
    0x9C9B,
    0x9C9C,
    0x9C9D,
];

/// Those that nobody misses.
const OF_NO_MATTER: [u16; 4] = [ORIENTATION, 0x011A, 0x011B, 0x0128];

/// What of a TIFF's first directory is EXIF, if anything.
pub(in crate::picture) fn of_tiff(file: &ReadAt<'_>) -> Option<Vec<u8>> {
    let (order, entries) = entries(file, None)?;
    let matters = entries.iter().any(|entry| !OF_NO_MATTER.contains(&entry.tag));
    matters.then(|| [order.head(), written(&entries, order, HEADER)].concat())
}

/// The entries of EXIF for the directory of a TIFF in this order of bytes.
pub(in crate::picture) fn for_tiff(exif: &[u8], order: ByteOrder) -> Vec<Entry> {
    let bytes = |at: u64, length: usize| exif.get(usize::try_from(at).ok()?..)?.get(..length).map(<[u8]>::to_vec);
    entries(&bytes, Some(order)).map_or_else(Vec::new, |(_, entries)| entries)
}

fn entries(file: &ReadAt<'_>, to: Option<ByteOrder>) -> Option<(ByteOrder, Vec<Entry>)> {
    let file = bounded(MOST, file);
    let (from, at) = first(&file)?;
    let to = to.unwrap_or(from);
    Some((to, read(&file, [from, to], at, &|tag| OF_TIFF.contains(&tag))))
}

/// The same for a picture of this height and width that was turned upright; without the thumbnail, which shows what it was. `None` if
/// it cannot be read.
pub(super) fn of_result(exif: &[u8], [height, width]: [usize; 2]) -> Option<Vec<u8>> {
    let mut exif = Exif { order: ByteOrder::of(exif)?, bytes: exif.to_vec() };
    let first = exif.long(4)?;
    exif.count(first)?;
    if let Some(at) = exif.find(first, ORIENTATION) {
        exif.put(at, 1);
    }
    let camera = exif.find(first, CAMERA).and_then(|at| exif.long(at + 8));
    for (directory, tags) in [Some(first), camera].into_iter().zip(SIDES) {
        for (tag, side) in tags.into_iter().zip([width, height]) {
            if let Some(at) = directory.and_then(|directory| exif.find(directory, tag)) {
                exif.put(at, side as u32);
            }
        }
    }
    exif.drop_thumbnail(first);
    Some(exif.bytes)
}

/// EXIF that is changed where it stands: what its maker alone understands has places in it.
struct Exif {
    order: ByteOrder,
    bytes: Vec<u8>,
}

impl Exif {
    fn short(&self, at: usize) -> Option<u16> {
        Some(self.order.short(self.bytes.get(at..)?.get(..2)?.try_into().ok()?))
    }

    fn long(&self, at: usize) -> Option<usize> {
        Some(self.order.long(self.bytes.get(at..)?.get(..4)?.try_into().ok()?) as usize)
    }

    fn count(&self, directory: usize) -> Option<usize> {
        self.short(directory).map(usize::from)
    }

    /// Where the entry of a tag is.
    fn find(&self, directory: usize, tag: u16) -> Option<usize> {
        (0..self.count(directory)?).map(|number| directory + 2 + 12 * number).find(|&at| self.short(at) == Some(tag))
    }

    /// An entry is to have this number, if it has one.
    fn put(&mut self, entry: usize, number: u32) {
        let one = self.long(entry + 4) == Some(1);
        let short = u16::try_from(number).map(|number| self.order.bytes_of_short(number));
        let number: &[u8] = match (self.short(entry + 2), &short) {
            (Some(3), Ok(short)) => short,
            (Some(4), _) => &self.order.bytes(number),
            _ => return,
        };
        if let Some(place) =
            self.bytes.get_mut(entry + 8..).and_then(|rest| rest.get_mut(..number.len())).filter(|_| one)
        {
            place.copy_from_slice(number);
        }
    }

    /// Makes the first directory the last, and zeros of the thumbnail that the second has.
    fn drop_thumbnail(&mut self, first: usize) {
        let Some(link) = self.count(first).map(|count| first + 2 + 12 * count) else { return };
        let Some(second) = self.long(link).filter(|&second| second > 0) else { return };
        for tags in THUMBNAIL {
            let number = |tag| {
                let entry = self.find(second, tag)?;
                if self.short(entry + 2) == Some(3) {
                    self.short(entry + 8).map(usize::from)
                } else {
                    self.long(entry + 8)
                }
            };
            let [Some(from), Some(length)] = tags.map(number) else { continue };
            if let Some(bytes) = self.bytes.get_mut(from..).and_then(|rest| rest.get_mut(..length)) {
                bytes.fill(0);
                if from + length == self.bytes.len() {
                    self.bytes.truncate(from);
                }
            }
        }
        if let Some(link) = self.bytes.get_mut(link..link + 4) {
            link.fill(0);
        }
    }
}
