use proptest::prelude::*;

use super::directory::{ByteOrder, HEADER, read, written};
use super::exif::{for_tiff, of_result, of_tiff};
use super::{Metadata, upright};
use crate::picture::{Format, JpegSettings};

const JPEG: Format = Format::Jpeg(JpegSettings::DEFAULT);

/// A directory of entries of a tag, a kind and a number, and where the next one is.
fn directory(order: ByteOrder, entries: &[(u16, u16, u32)], next: u32) -> Vec<u8> {
    let mut bytes = order.bytes_of_short(entries.len() as u16).to_vec();
    for &(tag, kind, number) in entries {
        bytes.extend([order.bytes_of_short(tag), order.bytes_of_short(kind)].concat());
        bytes.extend(order.bytes(1));
        bytes.extend(if kind == 3 {
            [order.bytes_of_short(number as u16), [0; 2]].concat()
        } else {
            order.bytes(number).into()
        });
    }
    bytes.extend(order.bytes(next));
    bytes
}

/// What lies on its side, with the camera's directory at 50, a second one at 80 and a thumbnail of 5 bytes at 110.
fn exif(order: ByteOrder) -> Vec<u8> {
    let first = directory(order, &[(0x0112, 3, 6), (0x010E, 4, 9), (0x8769, 4, 50)], 80);
    let camera = directory(order, &[(0xA002, 4, 4000), (0xA003, 3, 3000)], 0);
    let second = directory(order, &[(0x0201, 4, 110), (0x0202, 4, 5)], 0);
    [order.head(), first, camera, second, b"thumb".to_vec()].concat()
}

#[test]
fn exif_of_a_result_is_upright_of_its_size_and_without_the_thumbnail() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let result = of_result(&exif(order), [600, 70_000]).unwrap();
        assert!(!result.windows(5).any(|bytes| bytes == b"thumb"));
        let file = |at: u64, length: usize| result.get(at as usize..)?.get(..length).map(<[u8]>::to_vec);
        let bytes = |at, tag| read(&file, [order; 2], at, &|found| found == tag).pop().unwrap().into_bytes();
        assert_eq!(bytes(8, 0x0112), order.bytes_of_short(1));
        assert_eq!(bytes(50, 0xA002), order.bytes(70_000));
        assert_eq!(bytes(50, 0xA003), order.bytes_of_short(600));
        // A TIFF has the same, whatever its order of bytes.
        for other in [ByteOrder::Little, ByteOrder::Big] {
            let tiff = [other.head(), written(&for_tiff(&result, other), other, HEADER)].concat();
            let file = |at: u64, length: usize| tiff.get(at as usize..)?.get(..length).map(<[u8]>::to_vec);
            assert_eq!(for_tiff(&of_tiff(&file).unwrap(), order), for_tiff(&result, order));
        }
    }
}

#[test]
fn what_stays_behind_is_told() {
    let icc = |colours: &[u8]| Some([&[0; 16], colours, &[0; 200]].concat());
    let all = Metadata { exif: Some(exif(ByteOrder::Little)), icc: icc(b"RGB "), xmp: Some(vec![b' '; 70_000]) };
    let told = |format, shape| all.left_behind(format, shape).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(Format::Png, [1, 1, 4]), [""; 0]);
    assert_eq!(told(JPEG, [1, 1, 3]), ["its XMP is left out of the JPEG: it is longer than 64 KB"]);
    assert_eq!(
        told(Format::Tiff, [1, 1, 1]),
        ["its ICC profile is left out of the TIFF: it is of other colours than the result"]
    );
    assert_eq!(told(Format::Bmp, [1, 1, 3]).len(), 3);
    let gray = Metadata { icc: icc(b"GRAY"), exif: Some(b"no EXIF".to_vec()), xmp: None };
    assert!(
        gray.left_behind(JPEG, [1, 1, 1])[0]
            .to_string()
            .contains("its EXIF is left out of the JPEG: it cannot be read")
    );
    assert_eq!(gray.fitted(JPEG, [1, 1, 1]).0, Metadata { icc: gray.icc.clone(), ..Metadata::default() });
}

#[test]
fn xmp_says_which_way_up_in_two_ways() {
    let turned = br#"tiff:Orientation="6" tiff:Orientation='8'><tiff:Orientation>3</tiff:Orientation> tiff:Orientation="10" tiff:Orientation"#;
    let result = String::from_utf8(upright(turned)).unwrap();
    assert!(result.starts_with(r#"tiff:Orientation="1" tiff:Orientation='1'><tiff:Orientation>1<"#), "{result}");
    assert_eq!(result.len(), turned.len());
}

proptest! {
    #[test]
    fn nothing_that_is_no_metadata_does_harm(
        order in prop_oneof![Just(ByteOrder::Little), Just(ByteOrder::Big)],
        changes in proptest::collection::vec((0_usize..120, any::<u8>()), 1..6),
        cut in 0_usize..120,
    ) {
        let mut bytes = exif(order);
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut.max(4));
        let _ = of_result(&bytes, [1, 1]);
        let _ = for_tiff(&bytes, ByteOrder::Big);
        let file = |at: u64, length: usize| bytes.get(usize::try_from(at).ok()?..)?.get(..length).map(<[u8]>::to_vec);
        let _ = of_tiff(&file);
        let _ = Metadata::from_bytes(&bytes);
        let whole = Metadata { exif: Some(bytes.clone()), icc: None, xmp: Some(vec![1]) };
        prop_assert_eq!(Metadata::from_bytes(&whole.to_bytes()), Some(whole));
    }
}
