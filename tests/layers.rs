//! The house: arrows between rooms run downwards only, unsafe stays behind its fences and is accounted for, files stay small.
//!
//! Reads the sources as text, which is enough for a crate that names its rooms by `crate::` paths.

#[path = "layers/circles.rs"]
mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The packages from the ground up, each with the folder of its sources. One may use those below it, and of them what is public.
const PACKAGES: &[(&str, &str)] = &[("parfork", "src"), ("parfork_workers", "workers/src"), ("parfork_cli", "cli/src")];

/// The rooms of `parfork` from the ground up. A room may name those below it; rooms on one line do not name each other.
const LAYERS: &[&[&str]] = &[
    &["sys", "slices", "engine", "dtype", "philox"],
    &["error", "spec"],
    &["cancel", "sandbox"],
    &["shared"],
    &["planes"],
    &["sync"],
    &["process", "lend", "worker", "watch"],
    &["trace"],
    &["report"],
    &["answer", "hooks", "record"],
    &["engines"],
    &["crew"],
    &["job"],
    &["fork"],
    &["formats"],
    &["exec", "isolated"],
    &["fuzzing"],
    &["lib"],
];

/// Those of `parfork-workers`; where the star is are the kernels, each a room that the list in `lib.rs` names.
const WORKERS_LAYERS: &[&[&str]] =
    &[&["simd", "sys", "text_arg"], &["picture"], &["kernel"], &["film"], &["bands"], &["*"], &["fuzzing"], &["lib"]];

/// No file is longer: what wants a table of contents wants to be two.
const MOST_LINES: usize = 400;

/// Examples are read at a glance. Not so the campaign, a program that stands among them because cargo runs it from there
/// without its being installed with the crate.
const MOST_EXAMPLE: usize = 40;
const PROGRAM: &str = "examples/campaign";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below some folders, relative to the root, with their text.
fn files(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The text without comments, and without what stands between quotation marks.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            raw.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            rest.find("\"'").map_or(rest.len(), |end| end + 2)
        } else if next == '"' {
            quoted(rest)
        } else {
            code.push(next);
            next.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// How long the string is that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The room of a package that a file below its folder belongs to.
fn room(folder: &str, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap();
    below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The names that follow `crate::` in some code, also those of a list in braces.
fn named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        // Not `$crate::` of a macro, nor the end of another word.
        if code[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric() || "_$".contains(before)) {
            continue;
        }
        let rest = &code[at + path.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut begins) = (1, true);
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => begins = true,
                letter if begins && !letter.is_whitespace() => {
                    names.insert(word(&list[at..]));
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

/// The room that each name of the map, `src/lib.rs`, comes from: an arrow to the name is one to that room.
fn map() -> BTreeMap<String, String> {
    let text = code(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    let mut rooms = BTreeMap::new();
    for path in text.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next()) {
        let (room, names) = path.split_once("::").unwrap();
        for name in names.split([',', '{', '}']) {
            rooms.insert(name.trim().to_owned(), room.to_owned());
        }
    }
    rooms
}

fn layer(layers: &[&[&str]], room: &str) -> Option<usize> {
    let layer = |room: &str| layers.iter().position(|rooms| rooms.contains(&room));
    layer(room).or_else(|| layer("*").filter(|_| kernels().contains(room)))
}

/// The rooms that the list of kernels names.
fn kernels() -> BTreeSet<String> {
    let text = code(&fs::read_to_string(root().join("workers/src/lib.rs")).unwrap());
    let list = text.split_once("pub const KERNELS").and_then(|(_, rest)| rest.split_once("];")).unwrap().0;
    let rooms = list.split('&').filter_map(|item| item.split_once("::"));
    rooms.map(|(room, _)| room.trim().to_owned()).collect()
}

#[test]
fn arrows_between_rooms_run_downwards_only() {
    let mut wrong = Vec::new();
    for (folder, layers, map) in [("src", LAYERS, map()), ("workers/src", WORKERS_LAYERS, BTreeMap::new())] {
        for (path, text) in files(&[folder]) {
            let room = room(folder, &path);
            let Some(own) = layer(layers, &room) else {
                wrong.push(format!("{}: the room `{room}` is not in its package's layers", path.display()));
                continue;
            };
            for name in named(&code(&text)) {
                let there = map.get(&name).filter(|_| layer(layers, &name).is_none()).unwrap_or(&name);
                // Tests draw their chance from what fuzzers do, and cases by what all tests do.
                let for_tests = ["fuzzing", "sampled"].contains(&&**there);
                if *there != room
                    && !for_tests
                    && layer(layers, there).is_none_or(|there| there >= own)
                    && room != "lib"
                {
                    let what = format!("crate::{name} is of the room `{there}`, not below `{room}`");
                    wrong.push(format!("{}: {what}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that do not run downwards:\n{}", wrong.join("\n"));
}

/// The names of items that are public for the compiler's sake only.
fn hidden(folder: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in files(&[folder]) {
        for after in code(&text).split("#[doc(hidden)]").skip(1) {
            let mut words = after.split(|c: char| !c.is_alphanumeric() && c != '_');
            let item = words.by_ref().find(|word| ["fn", "mod", "struct", "enum", "trait", "type"].contains(word));
            names.extend(item.and(words.next()).map(str::to_owned));
        }
    }
    names
}

#[test]
fn packages_use_what_is_public_of_those_below_and_nothing_of_those_above() {
    let mut wrong = Vec::new();
    let has = |code: &str, name: &str| code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
    for (own, (package, folder)) in PACKAGES.iter().enumerate() {
        let manifest = Path::new(folder).parent().unwrap().join("Cargo.toml");
        let needs = fs::read_to_string(root().join(&manifest)).unwrap();
        let needs = needs.split("[package]").nth(1).unwrap();
        for (above, _) in &PACKAGES[own + 1..] {
            let needed = |line: &str| line.starts_with(&format!("{} ", above.replace('_', "-")));
            if needs.lines().any(needed) || needs.contains(&format!("\n{}.", above.replace('_', "-"))) {
                wrong.push(format!("{package} needs {above}"));
            }
        }
        let below: Vec<_> = PACKAGES[..own].iter().map(|(below, there)| (below, there, hidden(there))).collect();
        for (path, text) in files(&[folder]) {
            let code = code(&text);
            for (above, _) in PACKAGES[own + 1..].iter().filter(|(above, _)| has(&code, above)) {
                wrong.push(format!("{}: {above} is above", path.display()));
            }
            for (below, there, hidden) in &below {
                for name in hidden {
                    // Of names that others have as well (a method `part`), only paths count.
                    if code.contains(&format!("{below}::{name}")) {
                        wrong.push(format!("{}: {below}::{name} is hidden", path.display()));
                    }
                }
                // A file of another package would bring what is private there.
                let brought = |line: &str| line.contains("#[path") && line.contains(&format!("../{there}/"));
                let mut lines = text.lines().zip(std::iter::once("").chain(text.lines()));
                if let Some((line, _)) = lines.find(|(line, before)| brought(line) && *before != "#[cfg(test)]") {
                    wrong.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    assert!(hidden("src").is_superset(&["Loan", "MappedLoan", "fuzzing", "loans", "part"].map(str::to_owned).into()));
    assert!(wrong.is_empty(), "across the wall:\n{}", wrong.join("\n"));
}

/// Whether the keyword is there, not only the lint's name.
fn has_unsafe(code: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
}

#[test]
fn unsafe_code_stands_behind_a_fence_and_is_accounted_for() {
    let list = fs::read_to_string(root().join("docs/unsafe.md")).unwrap_or_default();
    let mut wrong = Vec::new();
    for (path, text) in files(&["src", "workers/src", "cli/src"]) {
        let code = code(&text);
        if !has_unsafe(&code) {
            continue;
        }
        let name = path.display().to_string();
        if path.starts_with("workers/src") && !path.starts_with("workers/src/sys") {
            wrong.push(format!("{name}: kernels have no unsafe code"));
        }
        if !list.contains(&name) {
            wrong.push(format!("{name}: not in docs/unsafe.md"));
        }
        // Either the file opens with the permission, or each item has its own: what is left without those has none.
        let whole = code.contains("#![allow(unsafe_code)]");
        let mut items = code.split("#[allow(unsafe_code)]");
        if !whole && items.next().is_some_and(has_unsafe) {
            wrong.push(format!("{name}: unsafe before any allow(unsafe_code)"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_long() {
    let most = |path: &Path| {
        let example = path.starts_with("examples") && !path.starts_with(PROGRAM);
        if example { MOST_EXAMPLE } else { MOST_LINES }
    };
    let lengths = files(&["src", "tests", "workers/src", "workers/tests", "cli/src", "cli/tests", "examples"])
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()));
    let long: Vec<_> = lengths.filter(|(path, lines)| *lines > most(path)).collect();
    assert!(long.is_empty(), "longer than {MOST_LINES} lines, or {MOST_EXAMPLE} in an example: {long:?}");
}

#[test]
fn the_reading_of_sources_is_right() {
    let text = "use crate::a::B; // crate::no\nuse crate::{c, d::{E, f}, g as h}; let s = \"crate::no \\\" unsafe\"; $crate::no";
    assert_eq!(named(&code(text)).into_iter().collect::<Vec<_>>(), ["a", "c", "d", "g"]);
    assert!(!code(text).contains("unsafe"));
    assert_eq!(code("let q = '\"'; x"), "let q = ; x");
    assert_eq!(room("src", Path::new("src/sync/board.rs")), "sync");
    assert_eq!(room("workers/src", Path::new("workers/src/matmul.rs")), "matmul");
    assert!(kernels().is_superset(&["matmul", "reduce", "transpose"].map(str::to_owned).into()));
    assert!(!kernels().contains("picture"));
}
