//! Crews whose workers are forked by a program, besides what they have in common with others.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use parfork::{Crew, CrewBuilder, CrewError, Error, Job, ServerProgram, Shared};

use super::support::{Watched, play};
use super::{children, end, fork_server, fork_servers, is_sound, nothing_left, page, pids, send};

/// The program that forks fork servers.
fn program() -> u32 {
    let [program] = children(std::process::id())[..] else { panic!("not one child") };
    assert_eq!(super::name(program), "parfork-program");
    program
}

/// Ends it, and waits until those that it has forked are gone: until then a job may have workers that die in it.
fn end_program(signal: i32) {
    let all = fork_servers().into_iter().map(|pid| Watched::new(pid).unwrap()).collect::<Vec<_>>();
    send(program(), signal);
    assert!(all.iter().all(|process| process.ends_within(Duration::from_secs(60))));
}

/// Does that beside a thread that holds the lock of stdout, which a fork would find held for ever.
fn beside_a_thread(job: impl FnOnce()) {
    let (locked, is_locked) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let _lock = std::io::stdout().lock();
        locked.send(()).unwrap();
        stopped.recv().is_err()
    });
    is_locked.recv().unwrap();
    job();
    drop(stop);
    assert!(thread.join().unwrap());
}

pub(crate) fn threads_are_no_obstacle() {
    beside_a_thread(|| {
        nothing_left(|| {
            assert!(matches!(Crew::start(2), Err(Error::ThreadsRunning { threads: 2 })));
            let mut crew = Crew::in_program(2).unwrap();
            is_sound(&mut crew);
            // What others would not survive: another one is started.
            end(fork_server());
            is_sound(&mut crew);
            end_program(libc::SIGKILL);
            is_sound(&mut crew);
            crew.resize(3).unwrap();
            is_sound(&mut crew);
            crew.run(&Shared::<u8, _>::zeros(3).unwrap(), (), |_, (), _| print!(".")).unwrap();
        });
    });
}

/// What a worker has made it keeps, though another process knows where that is made.
pub(crate) fn states_are_kept() {
    nothing_left(|| {
        let mut crew = Crew::in_program(2).unwrap();
        for job in 1..4 {
            let init = |_: &parfork::Worker<'_>, from: u64| vec![from];
            let job_of_two = parfork::Job::new(0..2).crew(&mut crew).split(parfork::Split::rows().of(1));
            let answers =
                job_of_two.schedule(parfork::Schedule::Static).run_init_with(100, init, 1, |_, one, state, _| {
                    state.push(one);
                    [state[0], state.len() as u64 - 1]
                });
            assert_eq!(answers.unwrap().to_vec(), [[100, job]; 2]);
        }
    });
}

pub(crate) fn it_outlives_the_thread_that_started_it() {
    nothing_left(|| {
        let mut crew = std::thread::spawn(|| Crew::in_program(2).unwrap()).join().unwrap();
        let before = pids(&mut crew);
        is_sound(&mut crew);
        std::thread::spawn(move || {
            assert_eq!(pids(&mut crew), before);
        })
        .join()
        .unwrap();
    });
}

/// Prints who is there, and waits for its end; with a child that has inherited all that it has.
pub(crate) fn be_killed() {
    let mut crew = Crew::in_program(3).unwrap();
    let all: Vec<_> =
        pids(&mut crew).into_iter().chain([fork_server(), program()]).map(|pid| pid.to_string()).collect();
    if std::env::var_os("PARFORK_FORKS").is_some() {
        // SAFETY: this process has one thread; the child sleeps until it is killed.
        let child = unsafe { libc::fork() };
        if child == 0 {
            std::thread::sleep(Duration::from_secs(100));
        }
        println!("{} {child}", all.join(" "));
    } else {
        println!("{} 0", all.join(" "));
    }
    std::thread::sleep(Duration::from_secs(100));
}

pub(crate) fn all_go_with_the_coordinator() {
    for (forks, stopped) in [(false, false), (true, false), (false, true)] {
        let mut command = play("program::be_killed");
        if forks {
            command.env("PARFORK_FORKS", "1");
        }
        let mut coordinator = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(coordinator.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let all: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        let (&child, all) = all.split_last().unwrap();
        let watched: Vec<_> = all.iter().map(|&pid| Watched::new(pid).unwrap()).collect();
        assert_eq!(all.len(), 5);
        if stopped {
            send(all[4], libc::SIGSTOP);
        }
        coordinator.kill().unwrap();
        coordinator.wait().unwrap();
        assert!(watched.iter().all(|process| process.ends_within(Duration::from_secs(60))));
        if child != 0 {
            end(child);
        }
    }
}

pub(crate) fn crews_share_it() {
    nothing_left(|| {
        let mut one = Crew::in_program(2).unwrap();
        let first = program();
        let mut other = Crew::in_program(3).unwrap();
        assert_eq!((program(), fork_servers().len()), (first, 2));
        is_sound(&mut one);
        is_sound(&mut other);
        // One that is dropped disturbs nobody, nor does one whose fork server dies.
        drop(one);
        let mut third = Crew::in_program(1).unwrap();
        end(fork_servers()[0]);
        for crew in [&mut other, &mut third] {
            is_sound(crew);
        }
        drop((other, third));
        assert_eq!(children(std::process::id()), Vec::<u32>::new());
        // Two programs of the same command are two.
        let [a, b] = [1, 2].map(|_| ServerProgram::new(Command::new("/proc/self/exe")).unwrap());
        let crews = [&a, &b, &a].map(|program| CrewBuilder::new().workers(1).start_by(program).unwrap());
        assert_eq!((children(std::process::id()).len(), fork_servers().len()), (2, 3));
        // It is kept by its crews, and without one if it is held.
        drop((b, crews));
        assert_eq!(children(std::process::id()).len(), 1);
    });
}

pub(crate) fn its_end_is_survived_by_all_its_crews() {
    nothing_left(|| {
        let mut crews = [1, 2, 3].map(|workers| Crew::in_program(workers).unwrap());
        for signal in [libc::SIGKILL, libc::SIGABRT] {
            end_program(signal);
            crews.iter_mut().for_each(is_sound);
        }
        // One that is stopped is let go on.
        send(program(), libc::SIGSTOP);
        crews.iter_mut().for_each(is_sound);
        is_sound(&mut Crew::in_program(1).unwrap());
        // In a job.
        page()[0].store(u64::from(program()), Ordering::Relaxed);
        let mut cells = Shared::<u64, _>::zeros(40).unwrap();
        let job = Job::new(&mut cells).crew(&mut crews[1]).retries(1).body_overwrites();
        let done = job.run_with((), |w, (), mut slice| {
            slice.fill(w.region().index() as u64);
            if w.region().index() == 11 && page()[0].load(Ordering::Relaxed) > 0 {
                send(page()[0].swap(0, Ordering::Relaxed) as u32, libc::SIGKILL);
                std::thread::sleep(Duration::from_secs(5));
            }
        });
        assert!(done.is_ok(), "{done:?}");
        assert!(cells.as_slice().iter().copied().eq(0..40));
        crews.iter_mut().for_each(is_sound);
    });
}

pub(crate) fn crews_are_started_by_many_threads_at_once() {
    nothing_left(|| {
        let keeper = Crew::in_program(1).unwrap();
        let begun = program();
        std::thread::scope(|scope| {
            for workers in [1, 2, 3, 1, 2, 3, 1, 2] {
                scope.spawn(move || {
                    for _ in 0..4 {
                        is_sound(&mut Crew::in_program(workers).unwrap());
                    }
                });
            }
        });
        assert_eq!(program(), begun);
        drop(keeper);
    });
}

pub(crate) fn a_fork_has_one_of_its_own() {
    nothing_left(|| {
        let mut crew = Crew::in_program(2).unwrap();
        let held = ServerProgram::new(Command::new("/proc/self/exe")).unwrap();
        let other = CrewBuilder::new().workers(1).start_by(&held).unwrap();
        let (before, programs) = (pids(&mut crew), children(std::process::id()));
        // SAFETY: this process has one thread; the child leaves by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let refused = matches!(CrewBuilder::new().workers(1).start_by(&held), Err(Error::NotOwner { .. }));
            let mut own = Crew::in_program(1).unwrap();
            is_sound(&mut own);
            drop((own, crew, other, held));
            // SAFETY: ends the process without touching its memory.
            unsafe { libc::_exit(if refused { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: the call writes one int.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        is_sound(&mut crew);
        assert_eq!((pids(&mut crew), children(std::process::id())), (before, programs));
    });
}

pub(crate) fn what_does_not_serve_is_told() {
    nothing_left(|| {
        let start = |command: &mut Command| {
            let command = std::mem::replace(command, Command::new(""));
            let program = ServerProgram::new(command).unwrap();
            CrewBuilder::new().workers(2).start_by(&program).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let text = start(Command::new("sh").args(["-c", "exit 7"]));
        assert!(text.contains("sh, the program that was to fork them, exited with status 7 before it did"), "{text}");
        let text = start(Command::new("sh").args(["-c", "kill -9 $$"]));
        assert!(text.contains("SIGKILL") && text.contains("before it did"), "{text}");
        let text = start(&mut Command::new("/nowhere/at/all"));
        assert!(text.contains("No such file"), "{text}");
        // The same code from another file is another program, with its functions wherever they may be.
        let copy = std::env::temp_dir().join("copy");
        std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        let (messages, output) = std::io::pipe().unwrap();
        let text = start(Command::new(&copy).stderr(output));
        std::fs::remove_file(&copy).unwrap();
        assert!(text.contains("exited with status 1 before it did"), "{text}");
        let mut told = String::new();
        BufReader::new(messages).read_line(&mut told).unwrap();
        assert!(told.contains("was started to fork workers for another one"), "{told}");
    });
}

/// As a library's caller would: before anything else has asked what this program is to serve.
pub(crate) fn bodies_of_other_libraries_are_refused() {
    let mut crew = Crew::in_program(1).unwrap();
    is_sound(&mut crew);
    // What `libc` has is in another file than this crate.
    let body: fn(&parfork::Worker<'_>, (), parfork::Slice<'_, u8, ndarray::Ix1>) -> () = {
        // SAFETY: never called: that is what is to be refused.
        unsafe { std::mem::transmute::<usize, _>(libc::getpid as *const () as usize) }
    };
    let mut cells = Shared::<u8, _>::zeros(1).unwrap();
    let error = parfork::Job::new(&mut cells).crew(&mut crew).run_with((), body).unwrap_err();
    assert!(matches!(error, Error::Crew(CrewError::BodyElsewhere)), "{error:?}");
    is_sound(&mut crew);
}

pub(crate) fn its_file_may_be_replaced_meanwhile() {
    // Played by a copy of this program, which is removed as soon as it runs.
    let copy = std::env::temp_dir().join("copy");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let template = play("program::be_removed");
    let mut command = Command::new(&copy);
    command.envs(template.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let begun = Instant::now();
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?} {:?}", begun.elapsed());
    assert!(!copy.exists());
}

pub(crate) fn be_removed() {
    std::fs::remove_file(std::env::current_exe().unwrap()).unwrap();
    page();
    nothing_left(|| is_sound(&mut Crew::in_program(2).unwrap()));
}
