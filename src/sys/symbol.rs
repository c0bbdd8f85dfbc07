//! The function at an address of this program, as its debug information names it.

use std::ffi::c_void;
use std::path::Path;

use backtrace::Symbol;

/// Says `function at file:line`, or as much of that as is known. The program is the same in every process forked from it.
///
/// Takes as long as reading the program's debug information, and keeps none of it.
pub(crate) fn at(instruction: u64) -> Option<String> {
    let (mut innermost, mut own) = (None, None);
    // Where a function was inlined into another, both come, innermost first. One of the standard library's (a pointer's
    // `write`, say) tells less than who called it.
    // The crate looks one byte before, for it is made for return addresses.
    let after = std::ptr::without_provenance_mut::<c_void>((instruction as usize).wrapping_add(1));
    backtrace::resolve(after, |symbol| {
        if innermost.is_none() {
            innermost = describe(symbol);
        }
        if own.is_none() && symbol.filename().is_some_and(|file| !is_std(file)) {
            own = describe(symbol);
        }
    });
    backtrace::clear_symbol_cache();
    own.or(innermost)
}

/// Whether a source file is of the standard library as it was built, not of this machine.
fn is_std(file: &Path) -> bool {
    file.starts_with("/rustc/") || file.components().any(|part| part.as_os_str() == "rustlib")
}

fn describe(symbol: &Symbol) -> Option<String> {
    let name = format!("{:#}", symbol.name()?);
    let Some(file) = symbol.filename() else { return Some(name) };
    let here = std::env::current_dir().ok();
    let file = here.and_then(|here| file.strip_prefix(here).ok()).unwrap_or(file).display();
    Some(symbol.lineno().map_or_else(|| format!("{name} at {file}"), |line| format!("{name} at {file}:{line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn landmark() -> u64 {
        std::hint::black_box(7)
    }

    #[test]
    fn a_function_of_this_program_is_named_with_its_line() {
        let text = at(landmark as fn() -> u64 as usize as u64).unwrap();
        assert!(text.contains("landmark at ") && text.contains("src/sys/symbol.rs:"), "{text}");
        assert_eq!(landmark(), 7);
    }

    #[test]
    fn no_function_is_nowhere() {
        assert_eq!(at(0), None);
        assert_eq!(at(u64::MAX), None);
    }
}
