//! No two files of a package need each other, by whatever way round. What a folder's own file says of its children is not looked at: a
//! child may use what the folder has for all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{code, files};

/// The modules of a package, each with those that it names.
fn graph(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let files = files(&[folder]);
    let names: BTreeSet<String> = files.iter().map(|(path, _)| module(folder, path)).collect();
    let named = |(path, text): &(PathBuf, String)| {
        let own = module(folder, path);
        let code = code(text);
        // What tests need, they may.
        let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let paths = paths(code).into_iter().filter_map(|path| resolve(&names, &own, &path));
        let others = paths.filter(|there| !there.is_empty() && *there != own).collect();
        (own, others)
    };
    files.iter().map(named).collect()
}

/// The module of a file, `` being the package itself.
fn module(folder: &str, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap().with_extension("");
    let parts: Vec<_> = below.iter().map(|part| part.to_str().unwrap()).collect();
    match parts.split_last() {
        Some((&"mod", folder)) => folder.join("::"),
        Some((&("lib" | "main"), [])) => String::new(),
        _ => parts.join("::"),
    }
}

/// The paths that begin with `crate` or `super`, those of lists in braces one by one.
fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            if !code[..at].ends_with(|c: char| is_part(c) || c == '$') {
                expand(String::new(), &code[at..], &mut found);
            }
        }
    }
    found
}

/// Reads one path from the beginning of `rest`, and enters what it leads to; how many bytes it has.
fn expand(before: String, rest: &str, found: &mut BTreeSet<String>) -> usize {
    let simple = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
    let path = before + &rest[..simple];
    if !path.ends_with("::") || !rest[simple..].starts_with('{') {
        found.insert(path);
        return simple;
    }
    let mut at = simple + 1;
    while at < rest.len() && !rest[at..].starts_with('}') {
        if rest[at..].starts_with("as ") {
            at += rest[at..].find([',', '}']).unwrap_or(rest.len() - at);
            continue;
        }
        let next = rest[at..].chars().next().unwrap();
        at += match next.is_alphanumeric() || next == '_' {
            true => expand(path.clone(), &rest[at..], found),
            false => next.len_utf8(),
        };
    }
    at + 1
}

/// The module that a path named in `own` leads to, or into.
fn resolve(names: &BTreeSet<String>, own: &str, path: &str) -> Option<String> {
    let mut parts: Vec<_> = path.split("::").filter(|part| !part.is_empty()).collect();
    let mut there: Vec<_> = own.split("::").filter(|part| !part.is_empty()).collect();
    match parts.first() {
        Some(&"crate") => {
            there.clear();
            parts.remove(0);
        }
        _ => {
            while parts.first() == Some(&"super") {
                there.pop();
                parts.remove(0);
            }
        }
    }
    for part in parts {
        there.push(part);
        if !names.contains(&there.join("::")) {
            there.pop();
            break;
        }
    }
    let there = there.join("::");
    names.contains(&there).then_some(there)
}

/// Modules from each of which one comes back to it.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<&String> {
    let leads_back = |start: &&String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![*start]);
        while let Some(module) = open.pop() {
            for next in graph.get(module).into_iter().flatten() {
                if next == *start {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    };
    graph.keys().filter(leads_back).collect()
}

#[test]
fn no_two_files_need_each_other() {
    for (_, folder) in super::PACKAGES {
        let graph = graph(folder);
        let found = circles(&graph);
        assert!(found.is_empty(), "in {folder} these are in a circle: {found:?}");
    }
}

#[test]
fn circles_are_found() {
    let graph = |edges: &[(&str, &[&str])]| {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        edges.iter().map(|(from, to)| ((*from).to_owned(), set(to))).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(circles(&graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["a"])])), ["b", "c"]);
    let found = paths("use crate::{a, b::{C, d::{E}}, f as g}; fn h(i: super::super::j::K) -> mycrate::l {}");
    let right = ["crate::a", "crate::b::C", "crate::b::d::E", "crate::f", "super::super::j::K"];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), right);
    let names = ["", "a", "a::b", "a::c"].map(str::to_owned).into();
    let to = |own, path| resolve(&names, own, path);
    assert_eq!(to("a::b", "super::c::D").as_deref(), Some("a::c"));
    assert_eq!((to("a::b", "super::E").as_deref(), to("a", "crate::a::b").as_deref()), (Some("a"), Some("a::b")));
}
