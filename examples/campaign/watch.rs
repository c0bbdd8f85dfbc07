//! The harness's side of one trial: starts its coordinator, lets come from outside what is planned to, and watches: for the
//! verdict, for the end of the coordinator, and for the end of everything it started, which is when nobody holds the pipe
//! any more that was their standard output.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::deed::Deed;
use crate::engine::Engine;
use crate::judge::Verdict;
use crate::page::{Page, Victim, now, span};
use crate::plan::{Fault, Place, Plan};

/// Tells a process that it is the coordinator of a trial: seed, number, and whose campaign it is of. What it forks has the
/// same environment, by which it is found again.
pub(crate) const TRIAL: &str = "PARFORK_TRIAL";

/// After this a trial is lost. A hundred times what the longest takes, so that only a hang meets it.
const WATCHDOG: Duration = Duration::from_secs(20);

/// After this, what outlives its coordinator is left behind. It is gone within milliseconds unless the machine is busy.
const GRACE: Duration = Duration::from_secs(3);

/// After this, a worker that was stopped in its first microseconds is continued. It has not asked yet to be ended with its
/// coordinator, and nothing but a signal makes it run: the one thing that whoever stops a process must undo.
const STOPPED: Duration = Duration::from_secs(1);

/// So often processes that bodies have left running are looked for when the coordinator has ended.
const DAEMONS: Duration = Duration::from_millis(20);

/// How a trial ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Judged(Verdict),
    /// Its coordinator was ended, as planned, and what it started was gone so long after; unless a worker had to be
    /// continued first.
    Orphaned {
        after: Option<Duration>,
    },
    Hung(String),
}

/// What became of a trial.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    pub(crate) plan: Plan,
    pub(crate) end: End,
    /// Whether a worker that was stopped at birth had to be continued.
    pub(crate) continued: bool,
    /// How many faults happened before the job's end.
    pub(crate) landed: u64,
    /// From the job's begin until its end, or until everything it started was gone.
    pub(crate) wall: Duration,
}

/// Plays one trial. `folder` is its temporary one, in which nothing must be left.
pub(crate) fn watch(seed: u64, number: u64, folder: &Path) -> io::Result<Seen> {
    let plan = Plan::new(seed, number);
    let page = Page::new()?;
    let tag = format!("{seed}:{number}:{}", std::process::id());
    let (output, end) = io::pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.env(TRIAL, &tag).env("TMPDIR", folder).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::from(page.file.try_clone()?)).stdout(end.try_clone()?).stderr(end);
    let mut coordinator = command.spawn()?;
    drop(command); // and with it our ends of the pipe
    let mut trial = Trial {
        plan: &plan,
        page: &page,
        tag: &tag,
        pid: coordinator.id(),
        output,
        text: String::new(),
        continued: false,
    };
    let watched = trial.follow();
    if watched.is_err() {
        trial.sweep()?;
    }
    let status = coordinator.wait()?;
    let verdict = Verdict::read(&trial.text);
    let planned = trial.coordinator_was_hit() && !status.success();
    let end = match (watched, verdict) {
        (Err(Lost::Hung(place)), _) => End::Hung(format!("{place}\n{}", trial.text)),
        (Err(Lost::Left(place)), _) => End::Judged(Verdict::Left(place)),
        (Err(Lost::Blind(error)), _) => return Err(error),
        (Ok(after), None) if planned => End::Orphaned { after: Some(after).filter(|_| !trial.continued) },
        (Ok(_), Some(verdict)) if status.success() || planned => End::Judged(verdict),
        (Ok(_), verdict) => End::Judged(Verdict::Wrong(format!("{status}, {verdict:?}: {}", trial.text))),
    };
    let files = left_files(folder, trial.pid)?;
    let end = if files.is_empty() { end } else { End::Judged(Verdict::Left(format!("files {files:?}"))) };
    let landed = (0..plan.faults.len()).map(|fault| page.landed(fault)).sum();
    let moment = |word: &AtomicU64| Some(word.load(SeqCst)).filter(|&at| at > 0);
    let wall = moment(&page.began).map(|began| span(began, moment(&page.ended).unwrap_or_else(now)));
    Ok(Seen { number, end, continued: trial.continued, landed, wall: wall.unwrap_or_default(), plan })
}

/// Why a trial is lost.
enum Lost {
    Hung(String),
    Left(String),
    Blind(io::Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Blind(error)
    }
}

/// A trial under way.
struct Trial<'t> {
    plan: &'t Plan,
    page: &'t Page,
    tag: &'t str,
    pid: u32,
    output: io::PipeReader,
    text: String,
    /// Whether a worker that was stopped at birth was continued.
    continued: bool,
}

impl Trial<'_> {
    /// Watches until everybody is gone; how long after the coordinator that was.
    fn follow(&mut self) -> Result<Duration, Lost> {
        let coordinator = pidfd(self.pid)?;
        let (start, mut ended, mut begun, mut looked) = (Instant::now(), None, None, false);
        let mut ahead: Vec<_> = self.plan.faults.iter().enumerate().filter_map(from_outside).collect();
        ahead.sort_by_key(|&(after, _)| std::cmp::Reverse(after));
        loop {
            let next = begun.and_then(|begun: Instant| Some(begun + ahead.last()?.0));
            let last = match ended {
                None => start + WATCHDOG,
                Some(ended) if !looked => ended + STOPPED,
                Some(ended) => ended + GRACE,
            };
            let again = ended.map(|_| Instant::now() + DAEMONS);
            let watched = if ended.is_some() { -1 } else { coordinator.as_raw_fd() };
            let until = next.into_iter().chain(again).fold(last, Instant::min);
            let [told, gone] = wait([self.output.as_raw_fd(), watched], until);
            if gone {
                ended = Some(Instant::now());
            }
            if ended.is_some() {
                self.end_daemons();
            }
            if told {
                let mut bytes = [0; 4096];
                let length = self.output.read(&mut bytes)?;
                self.text.push_str(&String::from_utf8_lossy(&bytes[..length]));
                if length == 0 {
                    break;
                }
                if begun.is_none() && self.text.contains("begun\n") {
                    begun = Some(Instant::now());
                }
            }
            if next.is_some_and(|next| next <= Instant::now()) {
                let fault = ahead.pop().map(|(_, fault)| fault);
                fault.map_or(Ok(()), |fault| self.befall(fault, &coordinator))?;
            }
            if last <= Instant::now() && ended.is_some() && !looked {
                self.continued = self.continue_the_unborn()?;
                looked = true;
            } else if last <= Instant::now() {
                let place = self.whereabouts();
                return Err(if ended.is_some() { Lost::Left(place) } else { Lost::Hung(place) });
            }
        }
        let after = ended.map_or(Duration::ZERO, |ended: Instant| ended.elapsed());
        // Somebody who closed its output, and lives; a daemon may not have told of itself yet.
        let last = Instant::now() + GRACE;
        while tagged(self.tag).into_iter().any(|pid| pid != self.pid) {
            if self.page.daemons().next().is_none() && !self.leaves_daemons() || last <= Instant::now() {
                return Err(Lost::Left(self.whereabouts()));
            }
            self.end_daemons();
            std::thread::sleep(DAEMONS);
        }
        Ok(after)
    }

    /// Whether a body was to leave a process running.
    fn leaves_daemons(&self) -> bool {
        self.plan.faults.iter().any(|fault| matches!(fault.deed, Deed::Leave(_)))
    }

    /// Ends the processes that bodies have left running, as they were told to; nobody else does.
    fn end_daemons(&self) {
        for pid in self.page.daemons() {
            // Held, and looked at: it is still the same.
            if let Ok(held) = pidfd(pid)
                && carries(pid, self.tag)
            {
                send(&held, libc::SIGKILL);
            }
        }
    }

    /// Lets a fault come from outside, if there is still somebody to befall.
    fn befall(&self, number: usize, coordinator: &OwnedFd) -> io::Result<()> {
        let Fault { deed, place } = self.plan.faults[number];
        let (servers, mut there) = family(self.pid);
        if matches!(self.plan.engine, Engine::Programs) {
            there.extend(there.clone().into_iter().flat_map(children));
        }
        let (pid, held) = match place {
            Place::ForkServer { pick, .. } if !servers.is_empty() => {
                let pid = servers[pick % servers.len()];
                match pidfd(pid) {
                    Ok(held) if is_server(pid) => (pid, held),
                    _ => return Ok(()),
                }
            }
            Place::Worker { pick, .. } if !there.is_empty() => {
                let pid = there[pick % there.len()];
                match pidfd(pid) {
                    // Still the same process: its number can be another's only after it has gone.
                    Ok(held) if carries(pid, self.tag) => (pid, held),
                    _ => return Ok(()),
                }
            }
            Place::Coordinator { .. } => (self.pid, coordinator.try_clone()?),
            _ => return Ok(()),
        };
        if self.page.ended.load(SeqCst) > 0 {
            return Ok(());
        }
        self.page.mark(number, Victim { pid, rank: None });
        if send(&held, deed.signal()) && self.page.ended.load(SeqCst) == 0 {
            self.page.land(number);
        }
        Ok(())
    }

    /// Continues the workers that a fault of this plan stopped at birth; whether there are any. Those that the coordinator made
    /// still have signals blocked, as it has, and a worker unblocks all when it has asked to be ended with it. Those that the
    /// fork server made are still called as it is, and it is not there any more: that has asked. Programs ask when they are started.
    fn continue_the_unborn(&self) -> io::Result<bool> {
        let mut any = false;
        for pid in tagged(self.tag) {
            let held = pidfd(pid)?;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap_or_default();
            let is_program = matches!(self.plan.engine, Engine::Programs) && self.coordinator_was_hit();
            let is_unborn = blocked.chars().any(|digit| ('1'..='f').contains(&digit)) || is_server(pid) || is_program;
            let stops = self.plan.faults.iter().enumerate().filter(|(_, fault)| fault.deed == Deed::Stop);
            let is_victim =
                stops.into_iter().any(|(fault, _)| self.page.victims(fault).any(|victim| victim.pid == pid));
            if is_victim && is_unborn {
                any |= send(&held, libc::SIGCONT);
            }
        }
        Ok(any)
    }

    fn coordinator_was_hit(&self) -> bool {
        let faults = self.plan.faults.iter().enumerate();
        faults
            .filter(|(_, fault)| matches!(fault.place, Place::Coordinator { .. }))
            .any(|(number, _)| self.page.victims(number).next().is_some())
    }

    /// Where the processes of this trial hang, for the report.
    fn whereabouts(&self) -> String {
        let place = |pid: u32| {
            let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let stat = read("stat");
            format!("  {} in {} {}", stat.get(..60).unwrap_or(&stat), read("wchan"), read("syscall").trim())
        };
        tagged(self.tag).into_iter().map(place).collect::<Vec<_>>().join("\n")
    }

    /// Ends all processes of this trial.
    fn sweep(&self) -> io::Result<()> {
        for pid in tagged(self.tag) {
            let held = pidfd(pid)?;
            // Looked at again when held: it is still the same.
            if tagged(self.tag).contains(&pid) {
                send(&held, libc::SIGKILL);
            }
        }
        Ok(())
    }
}

/// When a fault comes, if it comes from outside.
fn from_outside((number, fault): (usize, &Fault)) -> Option<(Duration, usize)> {
    match fault.place {
        Place::Worker { after, .. } | Place::ForkServer { after, .. } | Place::Coordinator { after } => {
            Some((after, number))
        }
        Place::Slice { .. } | Place::Birth { .. } => None,
    }
}

/// The processes below a coordinator: those that fork others, and the workers. A process has the name of whoever forked it until it has
/// one of its own.
fn family(coordinator: u32) -> (Vec<u32>, Vec<u32>) {
    let (mut servers, mut workers) = (Vec::new(), Vec::new());
    for child in children(coordinator) {
        match name(child).as_str() {
            SERVER => {
                servers.push(child);
                workers.extend(children(child));
            }
            PROGRAM => {
                let forked = children(child);
                workers.extend(forked.iter().copied().flat_map(children));
                servers.extend([vec![child], forked].concat());
            }
            _ => workers.push(child),
        }
    }
    (servers, workers)
}

fn children(parent: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The names of those who fork workers, and of those who fork these.
const SERVER: &str = "parfork-server";
const PROGRAM: &str = "parfork-program";

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// Whether this process forks workers, or those who do.
fn is_server(pid: u32) -> bool {
    [SERVER, PROGRAM].contains(&name(pid).as_str())
}

/// The living processes that carry the tag.
fn tagged(tag: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| carries(pid, tag)).collect()
}

/// Whether a process carries the tag.
fn carries(pid: u32, tag: &str) -> bool {
    let line = format!("{TRIAL}={tag}").into_bytes();
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|variable| variable == line)
}

/// What is in the trial's own folder, and in /dev/shm under our name and its number.
fn left_files(folder: &Path, pid: u32) -> io::Result<Vec<String>> {
    let names = |folder: &Path| -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let ours = |name: &String| name.contains("parfork") && name.contains(&pid.to_string());
    Ok(names(folder)?.into_iter().chain(names(Path::new("/dev/shm"))?.into_iter().filter(ours)).collect())
}

/// Whether the process was still there for the signal.
fn send(process: &OwnedFd, signal: i32) -> bool {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: three integers and a null pointer, for which the kernel fills in the usual.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, info, 0) == 0 }
}

fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made it just now for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Waits until there is something to read from a descriptor or the other end of it is gone, or until `last`; for which.
fn wait(descriptors: [i32; 2], last: Instant) -> [bool; 2] {
    let mut polled = descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let left = last.saturating_duration_since(Instant::now());
    let left = libc::timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    // SAFETY: two live records and their number, a live span, no mask.
    unsafe { libc::ppoll(polled.as_mut_ptr(), 2, &left, std::ptr::null()) };
    polled.map(|record| record.revents != 0)
}
