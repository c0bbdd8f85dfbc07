//! Files and folders: what is made, what is refused, what goes.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use ndarray::{Array2, Ix1, Ix2, IxDyn};
use parfork::named::{self, Liveness, Named};
use parfork::{Element, Error, Order, SegmentErrorKind, Shared};

use crate::{Actor, folder, name, own_place, say_and_wait, support, told};

fn kind<T>(result: parfork::Result<T>) -> SegmentErrorKind {
    match result {
        Err(Error::Segment { kind, .. }) => kind,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("no error"),
    }
}

fn refusal(name: &str) -> String {
    match Named::<f32, Ix1>::open(name) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{name} was attached"),
    }
}

pub(crate) fn what_is_not_kept_goes_with_its_creator_and_the_folder_with_the_last() {
    let place = own_place();
    let one = Named::<f32, _>::create("one").zeros((3, 4)).unwrap();
    let two = Named::<u8, _>::create("two").zeros(5).unwrap();
    let mut seen = Named::<f32, Ix2>::open("one").unwrap();
    let found = fs::metadata(folder().join("one")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.nlink()), (0o600, 1));
    assert_eq!(fs::metadata(folder()).unwrap().mode() & 0o7777, 0o700);
    drop(one);
    assert!(matches!(kind(Named::<f32, Ix2>::open("one")), SegmentErrorKind::Absent));
    // What is attached stays.
    assert!(seen.is_removed());
    assert_eq!(seen.read().unwrap().view().sum(), 0.0);
    assert!(folder().exists());
    drop(two);
    assert!(!folder().exists());
    // A panic is an end like any other.
    let ended = std::panic::catch_unwind(|| {
        let _mine = Named::<f32, _>::create("one").zeros(1).unwrap();
        panic!("on purpose");
    });
    assert!(ended.is_err() && !folder().exists());
    drop(place);
}

pub(crate) fn what_is_kept_stays_until_it_is_removed() {
    let _place = own_place();
    let table = Shared::from_array(&Array2::from_shape_fn((50, 70), |(i, j)| (i * j) as i64)).unwrap();
    drop(Named::create("table").keep(true).copy_of(&table).unwrap());
    let mut again = Named::<i64, Ix2>::open("table").unwrap();
    assert_eq!(again.read().unwrap().view(), table.view());
    assert_eq!((again.generation(), again.shape()), (0, &[50, 70][..]));
    named::remove("table").unwrap();
    assert!(matches!(kind(named::remove("table")), SegmentErrorKind::Absent) && !folder().exists());
    assert_eq!(again.read().unwrap().copy().unwrap().view(), table.view());
}

pub(crate) fn a_name_is_given_once() {
    let name = name("once");
    let first = Named::<u8, _>::create(&name).zeros(10).unwrap();
    assert_eq!(kind(Named::<u8, _>::create(&name).zeros(10)), SegmentErrorKind::Exists);
    drop(first);
    drop(Named::<u8, _>::create(&name).zeros(10).unwrap());
    for wrong in ["", "..", "a/b/c", "a b", "x\n"] {
        assert!(Named::<u8, _>::create(wrong).zeros(1).is_err(), "{wrong:?}");
    }
}

/// Puts `field` at `at` of a segment's header, and the checksum right, as another program would by docs/segments.md.
fn rewrite(path: &Path, at: usize, field: &[u8]) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut header = [0; 1024];
    file.read_exact_at(&mut header, 0).unwrap();
    header[at..at + field.len()].copy_from_slice(field);
    let sum = crc32fast::hash(&header[..1020]);
    header[1020..].copy_from_slice(&sum.to_ne_bytes());
    file.write_all_at(&header, 0).unwrap();
}

pub(crate) fn only_what_is_a_segment_is_attached() {
    let place = own_place();
    let made = Named::<f32, _>::create("good").zeros(1000).unwrap();
    let (path, folder) = (folder().join("good"), folder());
    let error = Named::<f64, Ix1>::open("good").unwrap_err().to_string();
    assert!(error.contains("<f4") && error.contains("<f8"), "{error}");
    let error = Named::<f32, Ix2>::open("good").unwrap_err().to_string();
    assert!(error.contains("[1000]") && error.contains("2 axes"), "{error}");
    assert_eq!(Named::<f32, IxDyn>::open("good").unwrap().shape(), [1000]);
    assert_eq!(kind(Named::<f32, Ix1>::open("good").unwrap().write()), SegmentErrorKind::ReadOnly);

    symlink(&path, folder.join("link")).unwrap();
    assert!(refusal("link").contains("it is a link"));
    fs::hard_link(&path, folder.join("second")).unwrap();
    assert!(refusal("good").contains("2 names"));
    fs::remove_file(folder.join("second")).unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    assert!(refusal("folder").contains("not a regular file"));
    nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(refusal("pipe").contains("not a regular file"));
    for (file, bytes) in [("empty", &b""[..]), ("short", b"\x93PARF"), ("text", &[b'x'; 5000])] {
        fs::write(folder.join(file), bytes).unwrap();
        fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(refusal(file).contains("begins with"), "{file}");
    }
    for mode in [0o644, 0o660, 0o606, 0o700] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(refusal("good").contains("600 is the most"), "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Named::<f32, Ix1>::open("good").unwrap();

    rewrite(&path, 12, &2_u32.to_ne_bytes());
    assert!(refusal("good").contains("version 2"));
    rewrite(&path, 12, &1_u32.to_ne_bytes());
    rewrite(&path, 64, &4242_u32.to_ne_bytes());
    assert!(refusal("good").contains("user 4242 made it"));
    rewrite(&path, 64, &nix::unistd::geteuid().as_raw().to_ne_bytes());
    rewrite(&path, 128, &u64::MAX.to_ne_bytes());
    assert!(refusal("good").contains("overflows"));
    rewrite(&path, 128, &1000_u64.to_ne_bytes());
    Named::<f32, Ix1>::open("good").unwrap();
    File::options().write(true).open(&path).unwrap().set_len(65536 + 3999).unwrap();
    assert!(refusal("good").contains("69535 long"));
    // What is refused can be seen and taken away all the same.
    let list = named::list().unwrap();
    assert!(list.len() >= 7 && list.iter().all(|found| found.what.is_err()));
    assert!(named::gc(false).unwrap().iter().all(|sweep| !sweep.removed));
    for found in list.iter().filter(|found| found.name != "folder") {
        named::remove(&found.name).unwrap();
    }
    fs::remove_dir(folder.join("folder")).unwrap();
    drop(made);
    named::gc(false).unwrap();
    assert!(!folder.exists());
    drop(place);
}

pub(crate) fn a_folder_that_is_not_ones_own_is_not_used() {
    let place = own_place();
    let refused = |words: &str| {
        let error = Named::<u8, _>::create("x").zeros(1).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(named::list().is_err());
    };
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), folder()).unwrap();
    refused("it is a link");
    fs::remove_file(folder()).unwrap();
    fs::write(folder(), b"").unwrap();
    refused("it is a link or a file");
    fs::remove_file(folder()).unwrap();
    fs::create_dir(folder()).unwrap();
    fs::set_permissions(folder(), fs::Permissions::from_mode(0o777)).unwrap();
    refused("permissions are 777");
    fs::set_permissions(folder(), fs::Permissions::from_mode(0o700)).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(folder(), Some(12345), None).unwrap();
        refused("belongs to user 12345");
    } else {
        println!("skipped: only root can give a folder away");
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    drop(place);
}

pub(crate) fn too_little_room_is_an_error_with_both_numbers() {
    let _place = own_place();
    let error = Named::<f32, _>::create("vast").zeros((1 << 30, 1 << 10)).unwrap_err();
    let Error::Memory { need, room, fits: Some(fits), .. } = &error else { panic!("{error}") };
    assert_eq!((*need, &fits[..]), (1 << 42, &[*room as usize >> 12, 1 << 10][..]));
    assert!(Named::<f64, _>::create("vast").zeros((1 << 40, 1 << 40)).is_err());
    // Nothing was made of it, not even the folder.
    assert!(!folder().exists());
}

/// A member of the group, who may read: locks all that it can open, in every way.
pub(crate) fn part_member() {
    let group = nix::unistd::Gid::from_raw(GROUP);
    nix::unistd::setgroups(&[group]).unwrap();
    nix::unistd::setresgid(group, group, group).unwrap();
    let member = nix::unistd::Uid::from_raw(65534);
    nix::unistd::setresuid(member, member, member).unwrap();
    let folder = shared_folder();
    assert_eq!(Named::<u8, Ix1>::open(&format!("0:{GROUP}/open")).unwrap().read().unwrap().view().sum(), 0);
    let opened: Vec<File> =
        [folder.clone(), folder.join("open")].iter().filter_map(|path| File::open(path).ok()).collect();
    for file in &opened {
        file.lock().unwrap();
        let all = libc::flock { l_type: libc::F_RDLCK as _, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        let _ = nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_OFD_SETLK(&all));
    }
    assert!(!opened.is_empty());
    say_and_wait("ready");
}

/// A group that root can share with, and that nobody is in.
const GROUP: u32 = 4242;

fn shared_folder() -> std::path::PathBuf {
    folder().with_file_name(format!("parfork-0-{GROUP}"))
}

pub(crate) fn who_may_only_read_cannot_keep_the_owner_from_making_and_removing() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root can play another user");
    }
    let outer = std::env::var_os("PARFORK_SHM").unwrap();
    let place = own_place();
    for folder in [Path::new(&outer), place.path()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let make = |name: &str| Named::<u8, _>::create(name).group(&GROUP.to_string()).keep(true).zeros(10);
    drop(make("open").unwrap());
    let member = Actor::ready("files::part_member", "");
    drop(make("other").unwrap());
    named::remove(&format!("{GROUP}/other")).unwrap();
    assert!(named::gc(false).unwrap().iter().all(|sweep| !sweep.removed));
    named::remove(&format!("{GROUP}/open")).unwrap();
    assert!(!shared_folder().exists());
    member.end();
}

/// Makes a segment, and leaves it as one who is killed does.
pub(crate) fn part_step_creator() {
    let told = told();
    let (plain, kept) = (told.contains("plain"), told.contains("kept"));
    let mut create = Named::<u32, _>::create("x").keep(kept);
    if !plain {
        create = create.group(&group());
    }
    support::steps_begin();
    let mut made = create.zeros(100).unwrap();
    let mut held = made.write().unwrap();
    held.view_mut().fill(7);
    held.publish().unwrap();
    std::process::exit(0);
}

/// A group that this user may share with; of root's, one that its folders do not have from the beginning.
fn group() -> String {
    let own = nix::unistd::getegid().as_raw();
    if nix::unistd::geteuid().is_root() { GROUP.to_string() } else { own.to_string() }
}

pub(crate) fn who_is_killed_at_any_step_of_making_one_leaves_nothing_that_stays() {
    let place = own_place();
    for told in ["plain kept", "shared"] {
        let name = if told == "shared" { format!("{}/x", group()) } else { "x".to_owned() };
        let part = || {
            let mut part = support::play("files::part_step_creator");
            part.env("NAME", told);
            part
        };
        let (mut there, mut folders) = (0, 0);
        let killed = support::killed_at_each_step(part, |step| {
            folders += fs::read_dir(place.path()).unwrap().count();
            let list = named::list().unwrap();
            there += list.len();
            assert!(list.iter().all(|found| found.what.is_ok()), "{told}, step {step}: {list:?}");
            named::gc(false).unwrap();
            if told == "plain kept" && !list.is_empty() {
                // Made whole, and kept, whenever its creator was killed.
                assert_eq!(Named::<u32, Ix1>::open(&name).unwrap().shape(), [100]);
                named::remove(&name).unwrap();
            }
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{told}, step {step}");
            let create = Named::<u32, _>::create("x");
            let create = if told == "shared" { create.group(&group()) } else { create };
            drop(create.zeros(1).unwrap());
        });
        assert!(
            there > 0 && folders > there && killed > folders,
            "{told}: {killed} kills, {folders} folders, {there} segments"
        );
    }
}

/// What a process leaves that is killed after it has made a folder and before it has shared it.
pub(crate) fn a_folder_that_was_never_shared_is_no_obstacle() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root has groups that its folders do not have from the beginning");
    }
    let place = own_place();
    let leave = || {
        fs::create_dir(shared_folder()).unwrap();
        fs::set_permissions(shared_folder(), fs::Permissions::from_mode(0o700)).unwrap();
    };
    leave();
    assert!(named::list().unwrap().is_empty() && named::gc(false).unwrap().is_empty());
    assert!(!shared_folder().exists());
    leave();
    let made = Named::<u8, _>::create("x").group(&GROUP.to_string()).zeros(1).unwrap();
    let found = fs::metadata(shared_folder()).unwrap();
    assert_eq!((found.mode() & 0o7777, found.gid()), (0o710, GROUP));
    drop(made);
    assert!(!shared_folder().exists());
    drop(place);
}

/// Makes a segment and is killed.
pub(crate) fn part_creator() {
    let _mine = Named::<f32, _>::create(&told()).zeros(1000).unwrap();
    say_and_wait("ready");
}

pub(crate) fn gc_removes_what_provably_belongs_to_the_dead() {
    let place = own_place();
    let verdict = |name: &str, dry_run| {
        let sweeps = named::gc(dry_run).unwrap();
        let sweep = sweeps.into_iter().find(|sweep| sweep.name == name).unwrap();
        (sweep.removed, sweep.why)
    };
    let creator = Actor::ready("files::part_creator", "left");
    assert_eq!(verdict("left", false), (false, format!("its creator, pid {}, is alive", creator.child.id())));
    let path = folder().join("left");
    let there = || path.exists();
    creator.kill();
    assert!(verdict("left", true).0 && there());
    // Its number is another's by now: this one's, which was started later than at the first tick of the machine.
    rewrite(&path, 72, &std::process::id().to_ne_bytes());
    rewrite(&path, 80, &1_u64.to_ne_bytes());
    let (removed, why) = verdict("left", true);
    assert!(removed && why.contains("another process has its number"), "{why}");
    // In another pid namespace, where nobody can look.
    let mut space = [0; 8];
    File::open(&path).unwrap().read_exact_at(&mut space, 104).unwrap();
    rewrite(&path, 104, &1_u64.to_ne_bytes());
    let (removed, why) = verdict("left", false);
    assert!(!removed && why.contains("another pid namespace") && there(), "{why}");
    rewrite(&path, 104, &space);
    // Kept on purpose.
    rewrite(&path, 20, &1_u32.to_ne_bytes());
    assert_eq!(verdict("left", false), (false, "kept on purpose".to_owned()));
    rewrite(&path, 20, &0_u32.to_ne_bytes());
    // Of another boot, wherever it was then.
    rewrite(&path, 88, &[0; 16]);
    rewrite(&path, 104, &1_u64.to_ne_bytes());
    let (removed, why) = verdict("left", false);
    assert!(removed && why.contains("started anew") && !there() && !folder().exists(), "{why}");
    assert!(named::gc(false).unwrap().is_empty());
    drop(place);
}

pub(crate) fn what_is_there_can_be_listed_with_its_holders() {
    let _place = own_place();
    let mut mine: Named<i16, _> = Named::create("b").order(Order::F).zeros((300, 20)).unwrap();
    let _other = Named::<f64, _>::create("a").keep(true).zeros(()).unwrap();
    let list = named::list().unwrap();
    assert_eq!(list.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let mut held = mine.write().unwrap();
    held.view_mut()[[0, 0]] = 7;
    let info = named::info("b").unwrap();
    assert_eq!((info.dtype, &info.shape[..], info.order), (i16::DTYPE, &[300, 20][..], Order::F));
    assert_eq!((info.bytes, info.kept, &info.liveness, info.mode), (12000, false, &Liveness::Alive, 0o600));
    assert_eq!((info.locked, info.unfinished, info.generation), (Some(true), false, 0));
    assert_eq!((info.owner.pid, info.owner.uid), (std::process::id(), nix::unistd::geteuid().as_raw()));
    let holders = info.holders().unwrap();
    assert_eq!(
        (holders.len(), holders[0].pid, holders[0].lock, holders[0].writes),
        (1, std::process::id(), Some(true), true)
    );
    assert!(holders[0].proportional.unwrap() >= 4096);
    held.publish().unwrap();
    let info = named::info("b").unwrap();
    assert_eq!((info.locked, info.unfinished, info.generation), (None, false, 1));
    assert!(matches!(kind(named::info("c")), SegmentErrorKind::Absent));
    named::remove("a").unwrap();
}

pub(crate) fn whatever_order_and_shape_an_array_has_it_comes_back() {
    let name = name("shapes");
    for (shape, order) in [
        (vec![3, 5, 7], Order::C),
        (vec![3, 5, 7], Order::F),
        (vec![], Order::C),
        (vec![0, 9], Order::C),
        (vec![1; 32], Order::C),
        (vec![700, 1000], Order::F),
    ] {
        let mut array = Shared::<f64, IxDyn>::zeros_in(shape.as_slice(), order).unwrap();
        array.as_mut_slice().iter_mut().enumerate().for_each(|(at, cell)| *cell = at as f64);
        let kept = Named::create(&name).copy_of(&array).unwrap();
        let mut again = Named::<f64, IxDyn>::open(&name).unwrap();
        let held = again.read().unwrap();
        assert_eq!((held.view(), held.copy().unwrap().view()), (array.view(), array.view()));
        drop(kept);
    }
    let error = Named::<u8, IxDyn>::create(&name).zeros(&[1; 33][..]).unwrap_err().to_string();
    assert!(error.contains("32 axes"), "{error}");
}
