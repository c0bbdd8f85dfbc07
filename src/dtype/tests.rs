use super::*;

/// What NumPy 2.4 makes of names on 64-bit Linux: first what it shows, then every name of which it makes that. Written by
///
/// ```python
/// import numpy as np, string
/// words = {n for n in dir(np) if isinstance(getattr(np, n), type) and issubclass(getattr(np, n), np.generic)}
/// words |= {"int", "uint", "float", "bool", "complex", "str", "object", "long", "ulong", "half"}
/// sizes = ["", "0", "1", "2", "3", "4", "8", "12", "16", "24", "32"]
/// table = {}
/// for order in ["", "<", ">", "=", "|"]:
///     for text in sorted(words) + [letter + size for letter in string.ascii_letters + "?" for size in sizes]:
///         try: dtype = np.dtype(order + text)
///         except Exception: continue
///         if dtype.kind in "biufc": table.setdefault(dtype.str, []).append(order + text)
/// for name in sorted(table): print(name, *table[name])
/// ```
const NUMPY: &str = include_str!("numpy.txt");

/// Every text that was tried above.
fn tried() -> impl Iterator<Item = String> {
    let letters = ('a'..='z').chain('A'..='Z').chain(['?']);
    let sizes = ["", "0", "1", "2", "3", "4", "8", "12", "16", "24", "32"];
    let coded = letters.flat_map(move |letter| sizes.map(|size| format!("{letter}{size}")));
    coded.flat_map(|text| ["", "<", ">", "=", "|"].map(|order| format!("{order}{text}")))
}

#[test]
#[cfg(target_endian = "little")]
fn what_numpy_takes_is_taken_as_numpy_takes_it_and_nothing_else() {
    let mut known = std::collections::HashSet::new();
    for line in NUMPY.lines() {
        let mut names = line.split(' ');
        let shown = names.next().unwrap();
        for name in names {
            let dtype: Dtype = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(dtype.to_string(), shown, "{name}");
            known.insert(name.to_owned());
        }
    }
    assert!(known.len() > 200, "{} names", known.len());
    // NumPy on x86-64 has no long doubles of 32-bit x86, whose files it cannot read.
    let foreign = ["f12", "c24"];
    for text in tried().filter(|text| !known.contains(text)) {
        let taken = text.parse::<Dtype>().is_ok();
        assert_eq!(taken, foreign.contains(&text.trim_start_matches(['<', '>', '=', '|'])), "{text}");
    }
}

#[test]
fn every_type_is_found_by_each_of_its_names() {
    for row in &ROWS {
        let dtype = Dtype::of(row);
        assert_eq!(Dtype::from_name(dtype.name()), Ok(dtype));
        assert_eq!(dtype.numpy_name().parse(), Ok(dtype));
        assert_eq!(dtype.to_string().parse(), Ok(dtype));
        assert!(!dtype.is_swapped() && dtype.to_native() == dtype);
        let other = if cfg!(target_endian = "little") { '>' } else { '<' };
        let swapped: Dtype = dtype.to_string().replacen(['<', '>', '|'], &other.to_string(), 1).parse().unwrap();
        assert_eq!((swapped.is_swapped(), swapped.to_native()), (dtype.size() > 1, dtype));
    }
    // Bits to one, bytes to the other.
    assert_eq!((Dtype::from_name("u8").unwrap().size(), "u8".parse::<Dtype>().unwrap().size()), (1, 8));
    assert!(["f8", "<f8", "float64", "d", ""].iter().all(|name| Dtype::from_name(name).is_err()));
}

#[test]
fn what_is_not_numbers_is_refused_with_what_it_is_and_a_remedy() {
    for (text, what) in [
        ("|O", "objects"),
        ("|S5", "text"),
        ("<U5", "text"),
        ("|V16", "raw bytes"),
        ("<M8[ns]", "dates"),
        ("<m8[s]", "durations"),
        ("<i3", "unknown"),
        ("<f08", "unknown"),
        ("<float64", "unknown"),
        ("", "unknown"),
        ("<", "unknown"),
        ("é8", "unknown"),
        ("<f8 ", "unknown"),
    ] {
        let error = text.parse::<Dtype>().unwrap_err();
        assert!(error.what().contains(what), "{text}: {error}");
        assert!(error.to_string().contains(error.remedy()) && error.to_string().contains(text), "{error}");
    }
}
