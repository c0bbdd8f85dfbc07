use super::*;
use crate::shared::Element;
use proptest::prelude::*;

fn owner() -> Owner {
    Owner { uid: 1000, pid: 4711, start: 123_456, boot: [7; 16], pid_space: 4_026_531_836, time_space: 4_026_531_834 }
}

fn header(shape: &[usize]) -> Header {
    Header::new(f32::DTYPE, shape, Order::C, owner()).unwrap()
}

/// Puts a field in, and the checksum right.
fn with(header: &Header, at: usize, field: &[u8]) -> [u8; HEADER] {
    let mut bytes = header.to_bytes();
    bytes[at..at + field.len()].copy_from_slice(field);
    resum(&mut bytes);
    bytes
}

fn refusal(bytes: &[u8], file_len: u64) -> String {
    Header::parse(bytes, file_len).unwrap_err().to_string()
}

#[test]
fn what_was_written_is_read() {
    for (shape, order) in
        [(&[3, 5][..], Order::C), (&[3, 5], Order::F), (&[], Order::C), (&[0, 7], Order::C), (&[9], Order::C)]
    {
        let mut header = Header::new(f32::DTYPE, shape, order, owner()).unwrap();
        (header.kept, header.group, header.created) = (true, Some(100), 1_700_000_000);
        assert_eq!(Header::parse(&header.to_bytes(), header.file_len()), Ok(header.clone()), "{shape:?}");
    }
    assert!(Header::new(u8::DTYPE, &[1; 33], Order::C, owner()).is_none());
    assert_eq!(header(&[1 << 20]).data_at, 2 << 20);
}

#[test]
fn whatever_is_off_is_refused_with_a_reason() {
    let good = header(&[10, 20]);
    let len = good.file_len();
    let word = |at, value: u32| refusal(&with(&good, at, &value.to_ne_bytes()), len);
    let long = |at, value: u64| refusal(&with(&good, at, &value.to_ne_bytes()), len);
    let text = |value: &[u8; 8]| refusal(&with(&good, AT_DTYPE, value), len);
    let reasons = [
        (refusal(b"", len), "begins with \"\""),
        (refusal(b"\x93NUMPY\x01\0", len), "\\x93NUMPY"),
        (refusal(&good.to_bytes()[..1023], len), "within its header"),
        (word(AT_BYTE_ORDER, BYTE_ORDER.swap_bytes()), "other byte order"),
        (word(AT_BYTE_ORDER, 7), "which is none"),
        (word(AT_VERSION, 2), "version 2"),
        (word(AT_LENGTH, 512), "512 bytes"),
        (word(AT_FLAGS, 3), "flags"),
        (word(AT_ELEMENT, 8), "takes 4 bytes and not 8"),
        (word(AT_AXES, 33), "33 axes"),
        (word(AT_AXES, u32::MAX), "axes"),
        (word(AT_AXES, 1), "1 axes, and lengths"),
        (word(76, 1), "not zero"),
        (word(AT_STRIDES, 4), "strides"),
        (long(AT_BYTES, 799), "takes 800 bytes and not 799"),
        (long(AT_DATA, 0), "begin at 0"),
        (long(AT_DATA, 4097), "begin at 4097"),
        (long(AT_DATA, u64::MAX - 4095), "and the file is"),
        (long(AT_SHAPE, 1 << 62), "overflows"),
        (long(AT_SHAPE, 11), "takes 880 bytes and not 800"),
        (text(b">f4\0\0\0\0\0"), "other byte order"),
        (text(b"<f4\0x\0\0\0"), "followed by"),
        (text(b"|O\0\0\0\0\0\0"), "no dtype"),
        (text(b"<f2\0\0\0\0\0"), "no dtype"),
        (text(b"\0\0\0\0\0\0\0\0"), "no dtype"),
        (refusal(&good.to_bytes(), len - 1), "and the file is"),
    ];
    for (reason, words) in reasons {
        assert!(reason.contains(words), "{reason} lacks {words}");
    }
    let mut bytes = good.to_bytes();
    bytes[AT_PID] ^= 1;
    assert!(refusal(&bytes, len).contains("checksum"));
}

/// What must hold of whatever is taken.
fn is_possible(header: &Header, file_len: u64) {
    assert!(header.shape.len() <= MOST_AXES && header.data_at >= HEADER as u64);
    assert!(header.data_at + header.bytes.max(1) <= file_len);
    let exact =
        header.shape.iter().fold(header.dtype.size() as u128, |bytes, &axis| bytes.saturating_mul(axis as u128));
    assert_eq!(exact, u128::from(header.bytes));
    assert!(isize::try_from(header.bytes).is_ok() && [1, 2, 4, 8].contains(&header.dtype.size()));
}

#[test]
fn two_hundred_thousand_spoilt_headers_do_no_harm() {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut random = move || random.u64(..);
    let seeds = [header(&[10, 20]), header(&[]), header(&[0, 3]), header(&[1 << 20, 2, 1, 5])];
    let interesting = [0, 1, 2, 4095, 4096, 1 << 31, u64::from(u32::MAX), 1 << 62, 1 << 63, u64::MAX - 7, u64::MAX];
    let mut taken = 0;
    for round in 0..200_000 {
        let seed = &seeds[random() as usize % seeds.len()];
        let mut bytes = seed.to_bytes().to_vec();
        for _ in 0..=random() % 4 {
            let at = random() as usize % HEADER;
            match random() % 4 {
                0 => bytes[at] ^= 1 << (random() % 8),
                1 => bytes[at] = random() as u8,
                2 => {
                    let (at, value) = (at / 8 * 8, interesting[random() as usize % interesting.len()]);
                    bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
                }
                _ => {
                    let (at, from) = (at / 4 * 4, random() as usize % (HEADER / 4) * 4);
                    let moved: [u8; 4] = bytes[from..from + 4].try_into().unwrap();
                    bytes[at..at + 4].copy_from_slice(&moved);
                }
            }
        }
        // Most with a checksum that fits, or nothing would come further.
        if round % 8 != 0 {
            let sum = crc32fast::hash(&bytes[..CHECKED]);
            bytes[CHECKED..].copy_from_slice(&sum.to_ne_bytes());
        }
        if round % 16 == 1 {
            bytes.truncate(random() as usize % HEADER);
        }
        let file_len = match random() % 4 {
            0 => random(),
            1 => seed.file_len().saturating_sub(random() % 3),
            _ => seed.file_len(),
        };
        if let Ok(header) = Header::parse(&bytes, file_len) {
            is_possible(&header, file_len);
            taken += 1;
        }
    }
    assert!(taken > 1000, "{taken} were taken: the others say nothing");
}

proptest! {
    #[test]
    fn any_shape_is_read_as_it_was_written_or_refused(
        shape in proptest::collection::vec(prop_oneof![0..5_usize, any::<usize>(), Just(1 << 31), Just(usize::MAX)], 0..6),
        fortran: bool,
        short in 0..3_u64,
    ) {
        let order = if fortran { Order::F } else { Order::C };
        let Some(header) = Header::new(f32::DTYPE, &shape, order, owner()) else {
            prop_assert!(byte_length(&shape, 4).is_err());
            return Ok(());
        };
        let read = Header::parse(&header.to_bytes(), header.file_len() - short);
        if short == 0 {
            let header_again = read.unwrap();
            is_possible(&header_again, header.file_len());
            prop_assert_eq!(header_again, header);
        } else {
            prop_assert!(read.is_err());
        }
    }

    #[test]
    fn any_bytes_are_refused_or_possible(tail in proptest::collection::vec(any::<u8>(), 0..2000), file_len: u64) {
        let bytes = [&MAGIC[..], &tail].concat();
        if let Ok(header) = Header::parse(&bytes, file_len) {
            is_possible(&header, file_len);
        }
    }
}
