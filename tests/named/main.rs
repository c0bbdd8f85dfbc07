//! Named segments between processes: what is attached, who waits for whom, what is left of the dead.
#![allow(unsafe_code)]

mod files;
mod jobs;
mod locks;
#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio};

use support::{cases, play};

fn main() -> ExitCode {
    // A place of our own, which the cases inherit: nobody's real segments are touched.
    let inherited = std::env::var_os("PARFORK_SHM").is_some();
    let place = (!inherited).then(|| tempfile::tempdir_in("/dev/shm").unwrap());
    if let Some(place) = &place {
        // SAFETY: this process has one thread yet.
        unsafe { std::env::set_var("PARFORK_SHM", place.path()) };
    }
    support::run(
        cases![
            files::what_is_not_kept_goes_with_its_creator_and_the_folder_with_the_last,
            files::what_is_kept_stays_until_it_is_removed,
            files::a_name_is_given_once,
            files::only_what_is_a_segment_is_attached,
            files::a_folder_that_is_not_ones_own_is_not_used,
            files::too_little_room_is_an_error_with_both_numbers,
            files::gc_removes_what_provably_belongs_to_the_dead,
            files::what_is_there_can_be_listed_with_its_holders,
            files::who_may_only_read_cannot_keep_the_owner_from_making_and_removing,
            files::who_is_killed_at_any_step_of_making_one_leaves_nothing_that_stays,
            files::a_folder_that_was_never_shared_is_no_obstacle,
            files::whatever_order_and_shape_an_array_has_it_comes_back,
            locks::readers_share_and_a_writer_is_alone,
            locks::what_is_not_published_does_not_count,
            locks::a_dead_reader_keeps_nobody_waiting,
            locks::a_dead_writer_keeps_nobody_waiting_and_is_known,
            locks::workers_do_not_keep_the_lock_of_a_dead_coordinator,
            locks::two_processes_take_turns,
            locks::nobody_waits_for_those_who_are_gone,
            locks::a_waiting_writer_is_not_overtaken,
            locks::a_request_to_stop_ends_a_wait,
            jobs::guards_are_lent_like_arrays,
            jobs::crews_attach_what_was_made_after_them,
            jobs::a_segment_cut_off_under_a_reader_is_an_error,
        ],
        cases![
            locks::part_reader,
            locks::part_writer,
            locks::part_coordinator,
            locks::part_partner,
            locks::part_visitor,
            locks::part_remover,
            locks::part_waiting_writer,
            files::part_creator,
            files::part_member,
            files::part_step_creator,
        ],
    )
}

/// The name that a part is told.
pub(crate) fn told() -> String {
    std::env::var("NAME").unwrap()
}

/// A part, played by a process of its own, which says a line when it has come as far as it was to come.
pub(crate) struct Actor {
    pub(crate) child: Child,
    said: BufReader<ChildStdout>,
    ear: Option<ChildStdin>,
}

impl Actor {
    pub(crate) fn new(part: &str, name: &str) -> Self {
        let mut command = play(part);
        command.env("NAME", name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let ear = child.stdin.take();
        Self { child, said, ear }
    }

    /// Waits for a line.
    pub(crate) fn says(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// As [`new`](Self::new), once it has said `ready`.
    pub(crate) fn ready(part: &str, name: &str) -> Self {
        let mut actor = Self::new(part, name);
        assert_eq!(actor.says(), "ready");
        actor
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it come to its end, which has to be a good one.
    pub(crate) fn end(mut self) {
        drop(self.ear.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// In a part: says it, and waits to be killed or let go.
pub(crate) fn say_and_wait(line: &str) {
    say(line);
    let _ = std::io::stdin().read_line(&mut String::new());
}

pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// A name that no other case has.
pub(crate) fn name(case: &str) -> String {
    format!("{case}-{}", std::process::id())
}

/// This user's folder.
pub(crate) fn folder() -> PathBuf {
    let user = nix::unistd::geteuid();
    PathBuf::from(std::env::var_os("PARFORK_SHM").unwrap()).join(format!("parfork-{user}"))
}

/// A place for this case alone.
pub(crate) fn own_place() -> tempfile::TempDir {
    let place = tempfile::tempdir_in(std::env::var_os("PARFORK_SHM").unwrap()).unwrap();
    // SAFETY: a case is a process with one thread.
    unsafe { std::env::set_var("PARFORK_SHM", place.path()) };
    place
}
