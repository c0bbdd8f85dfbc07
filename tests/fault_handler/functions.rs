//! In which function a fault or a panic was.

use ndarray::ArrayView2;
use parfork::{Cause, Error, Shared};

use crate::support::play;
use crate::{BAD, with_both};

#[inline(never)]
fn scribble(input: ArrayView2<u64>) {
    // SAFETY: none: this is what must end the worker.
    unsafe { input.as_ptr().cast_mut().write_volatile(1) }; // the line that is named
}

pub(crate) fn the_function_is_named_with_its_line() {
    let line =
        include_str!("functions.rs").lines().position(|line| line.ends_with("// the line that is named")).unwrap() + 1;
    with_both(
        |input, _| scribble(input),
        |fault, text| {
            let function = format!("scribble at tests/fault_handler/functions.rs:{line}");
            assert_eq!(fault.function().as_deref(), Some(function.as_str()));
            assert!(text.contains(&format!("; in {function}) while it worked on slice 5 ")), "{text}");
        },
    );
}

pub(crate) fn panic_in_a_worker() {
    let mut output = Shared::<u64, _>::zeros(24).unwrap();
    let run = parfork::fork(2, &mut output, |w, _| assert!(w.region().index() != BAD, "the sixth"));
    let Err(Error::WorkerDied(death)) = run else { panic!("{run:?}") };
    assert!(matches!(&death.cause, Cause::Panicked { message, .. } if message == "the sixth"));
}

pub(crate) fn a_backtrace_comes_if_the_user_wants_it() {
    let said = |value: &str| {
        let output = play("functions::panic_in_a_worker").env("RUST_BACKTRACE", value).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(said("0"), "");
    let text = said("1");
    assert!(text.starts_with("worker ") && text.contains(" panicked at tests/fault_handler/functions.rs:"), "{text}");
    assert!(
        text.contains("the sixth\nstack backtrace:\n") && text.contains("fault_handler::functions::panic_in_a_worker"),
        "{text}"
    );
}
