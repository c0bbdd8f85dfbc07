//! What bodies print, through std's buffer and C's.

use std::sync::atomic::Ordering;

use parfork::{Crew, Job, Shared};

use crate::support::{Page, play};

fn say(word: &str) {
    print!("[{word}]");
    let word = std::ffi::CString::new(format!("(c{word})")).unwrap();
    // SAFETY: a string without directives.
    unsafe { libc::printf(word.as_ptr()) };
}

/// A part.
pub(crate) fn print() {
    let (mut cells, page) = (Shared::<u8, _>::zeros(4).unwrap(), Page::new());
    say("before");
    parfork::fork(2, &mut cells, |w, _| say(&format!("fork{}", w.region().index()))).unwrap();
    say("between");
    let mut crew = Crew::start(2).unwrap();
    for _ in 0..2 {
        crew.run(&mut cells, (), |w, (), _| say(&format!("crew{}", w.region().index()))).unwrap();
    }
    drop(crew);
    let job = Job::new(&mut cells).workers(2).retries(1).body_overwrites();
    job.run(|w, _| {
        if w.region().index() == 3 && page[0].fetch_add(1, Ordering::Relaxed) == 0 {
            std::process::abort();
        }
        if w.region().index() == 3 {
            say("again3");
        }
    })
    .unwrap();
    let job = Job::new(&mut cells).workers(1);
    job.run(|_, _| -> Result<(), String> {
        say("refused");
        Err("no".to_owned())
    })
    .unwrap_err();
    let job = Job::new(&mut cells).workers(1);
    job.run(|w, _| {
        say("panics");
        assert!(w.rank() > 7, "as it should");
    })
    .map(drop)
    .unwrap_err();
    say("after");
}

pub(crate) fn what_bodies_print_is_written_once() {
    let output = play("prints::print").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut expected =
        vec!["before".to_owned(), "between".into(), "again3".into(), "refused".into(), "panics".into(), "after".into()];
    expected.extend((0..4).map(|slice| format!("fork{slice}")));
    expected.extend((0..8).map(|slice| format!("crew{}", slice % 4)));
    for word in &expected {
        let times = expected.iter().filter(|other| *other == word).count();
        for word in [format!("[{word}]"), format!("(c{word})")] {
            assert_eq!(text.matches(&word).count(), times, "{word} in {text}");
        }
    }
}
