//! `parfork shm ls`, `info`, `rm`, `gc`: what there is, and taking it away.

use std::time::{SystemTime, UNIX_EPOCH};

use parfork::Order;
use parfork::named::{self, Found, GcEntry, Holder, Liveness};
use serde_json::{Value, json};

use super::args::{Gc, Info, Ls, Rm};
use crate::columns::{left, lines, right};
use crate::failure::Failure;
use crate::files;
use crate::output;

/// One line each.
pub fn ls(args: &Ls) -> Result<(), Failure> {
    const WIDTH: usize = 120;
    let list = named::list()?;
    if args.json {
        let all: Vec<Value> = list.iter().map(found).collect();
        return output::print_json(&json!({ "schema": "parfork/1", "command": "shm ls", "segments": all }));
    }
    let (good, bad): (Vec<&Found>, Vec<&Found>) = list.iter().partition(|found| found.what.is_ok());
    let good: Vec<&named::Info> = good.into_iter().filter_map(|found| found.what.as_ref().ok()).collect();
    if list.is_empty() {
        return output::print("this user has no segments\n");
    }
    let columns = vec![
        left("NAME", 0, |info: &&named::Info| info.name.clone()),
        left("DTYPE", 0, |info: &&named::Info| info.dtype.to_string()),
        left("SHAPE", 0, |info: &&named::Info| shape(&info.shape)),
        right("SIZE", 1, |info: &&named::Info| output::bytes(info.bytes)),
        right("GENERATION", 2, |info: &&named::Info| info.generation.to_string()),
        left("STATE", 1, |info: &&named::Info| state(info).to_owned()),
        left("STAYS", 3, |info: &&named::Info| stays(info)),
        right("AGE", 4, |info: &&named::Info| age(info.created)),
    ];
    let mut text = String::new();
    if !good.is_empty() {
        lines(&good, columns, WIDTH).iter().for_each(|line| text.extend([line, "\n"]));
    }
    for found in bad {
        if let Err(error) = &found.what {
            text.extend(["no segment: ", &error.to_string(), "\n"]);
        }
    }
    output::print(&text)
}

/// All that is known of one.
pub fn info(args: &Info) -> Result<(), Failure> {
    let info = named::info(&args.name)?;
    let holders = info.holders()?;
    if args.json {
        let mut report = report(&info);
        report["schema"] = json!("parfork/1");
        report["command"] = json!("shm info");
        report["holders"] = holders.iter().map(holder).collect();
        return output::print_json(&report);
    }
    let named::Owner { uid, pid, start, boot, pid_space, time_space } = info.owner;
    let group = info.group.map_or("none".to_owned(), |group| group.to_string());
    let rows = [
        ("file", info.path.display().to_string()),
        ("elements", format!("{} of shape {}, {} order", info.dtype, shape(&info.shape), order(info.order))),
        (
            "payload",
            format!("{} bytes from {} on; {} allocated", info.bytes, info.data_at, output::bytes(info.allocated)),
        ),
        ("generation", info.generation.to_string()),
        ("state", state(&info).to_owned()),
        ("stays", stays(&info)),
        ("creator", format!("user {uid}, pid {pid}, {}", info.liveness)),
        ("", format!("started at tick {start} of boot {}", boot_id(&boot))),
        ("", format!("in pid namespace {pid_space}, time namespace {time_space}")),
        ("created", format!("{} ago", age(info.created))),
        ("permissions", format!("{:o}, group {group}", info.mode)),
    ];
    let mut text = String::new();
    for (title, value) in rows {
        text.push_str(&format!("{title:<12} {value}\n"));
    }
    let columns = vec![
        right("PID", 0, |holder: &Holder| holder.pid.to_string()),
        left("ATTACHED", 0, |holder: &Holder| (if holder.writes { "to write" } else { "to read" }).to_owned()),
        left("LOCK", 0, |holder: &Holder| lock(holder.lock).to_owned()),
        right("PSS", 0, |holder: &Holder| holder.proportional.map_or("-".to_owned(), output::bytes)),
    ];
    match holders.is_empty() {
        true => text.push_str("nobody has it attached\n"),
        false => {
            text.push('\n');
            lines(&holders, columns, 120).iter().for_each(|line| text.extend([line, "\n"]));
        }
    }
    output::print(&text)
}

/// Removes all that can be; fails for those that cannot, the first of which it names.
pub fn rm(args: &Rm) -> Result<(), Failure> {
    let failures: Vec<_> = args.names.iter().filter_map(|name| named::remove(name).err()).collect();
    failures.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}

/// Says of each what was done, and why.
pub fn gc(args: &Gc) -> Result<(), Failure> {
    let sweeps = named::gc(args.dry_run)?;
    if args.json {
        let all = sweeps.iter().map(|GcEntry { name, removed, bytes, why }| {
            json!({ "name": name, "removed": removed, "bytes": bytes, "why": why })
        });
        let all: Vec<Value> = all.collect();
        let report = json!({ "schema": "parfork/1", "command": "shm gc", "dry_run": args.dry_run, "segments": all });
        return output::print_json(&report);
    }
    let mut text = String::new();
    for GcEntry { name, removed, bytes, why } in &sweeps {
        let what = match (removed, args.dry_run) {
            (true, true) => format!("would remove ({})", output::bytes(*bytes)),
            (true, false) => format!("removed ({})", output::bytes(*bytes)),
            (false, _) => "stays".to_owned(),
        };
        text.push_str(&format!("{name}: {what}: {why}\n"));
    }
    if sweeps.is_empty() {
        text.push_str("this user has no segments\n");
    }
    output::print(&text)
}

fn found(found: &Found) -> Value {
    match &found.what {
        Ok(info) => report(info),
        Err(error) => json!({ "name": found.name, "error": error.to_string() }),
    }
}

fn report(info: &named::Info) -> Value {
    let created = info.created.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let dead = match info.liveness {
        Liveness::Alive => Some(false),
        Liveness::Dead(_) => Some(true),
        Liveness::Unknown(_) => None,
    };
    json!({
        "name": info.name,
        "path": files::name(&info.path),
        "lossy": files::lossy([&info.path]),
        "dtype": info.dtype.to_string(),
        "shape": info.shape,
        "order": order(info.order),
        "bytes": info.bytes,
        "data_at": info.data_at,
        "allocated_bytes": info.allocated,
        "generation": info.generation,
        "unfinished": info.unfinished,
        "locked": info.locked.map(|writing| if writing { "write" } else { "read" }),
        "kept": info.kept,
        "created_unix_seconds": created,
        "uid": info.owner.uid,
        "pid": info.owner.pid,
        "start": info.owner.start,
        "boot_id": boot_id(&info.owner.boot),
        "pid_namespace": info.owner.pid_space,
        "time_namespace": info.owner.time_space,
        "creator_dead": dead,
        "group": info.group,
        "mode": format!("{:o}", info.mode),
    })
}

fn holder(holder: &Holder) -> Value {
    json!({
        "pid": holder.pid,
        "writes": holder.writes,
        "lock": holder.lock.map(|writing| if writing { "write" } else { "read" }),
        "proportional_bytes": holder.proportional,
    })
}

fn shape(shape: &[usize]) -> String {
    if shape.is_empty() { "one".to_owned() } else { shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x") }
}

fn order(order: Order) -> &'static str {
    match order {
        Order::C => "C",
        Order::F => "Fortran",
    }
}

fn state(info: &named::Info) -> &'static str {
    match info.locked {
        _ if info.unfinished => "unfinished",
        Some(true) => "being written",
        Some(false) => "being read",
        None => "free",
    }
}

fn stays(info: &named::Info) -> String {
    match &info.liveness {
        _ if info.kept => "until removed".to_owned(),
        Liveness::Alive => format!("as long as pid {}", info.owner.pid),
        Liveness::Dead(_) => "until gc: creator dead".to_owned(),
        Liveness::Unknown(_) => "creator unknown".to_owned(),
    }
}

fn lock(lock: Option<bool>) -> &'static str {
    match lock {
        Some(true) => "to write",
        Some(false) => "to read",
        None => "-",
    }
}

fn age(created: SystemTime) -> String {
    let seconds = created.elapsed().map_or(0, |since| since.as_secs());
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// As the kernel writes it.
fn boot_id(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
