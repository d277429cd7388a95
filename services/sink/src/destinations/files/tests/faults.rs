//! Death, and errors of the disk, at every system call of a small run: the test program starts
//! itself again under strace, once per call.

use std::process::{Command, ExitStatus};

use super::*;

/// Where the small run writes. Set only in the processes that the tests here start.
const FOLDER: &str = "MILLRACE_SMALL_RUN";

/// Exit code of a run that met an error which only a new start can answer.
const START_AGAIN: i32 = 3;

/// More attempts than calls can fail one by one.
const ATTEMPTS: usize = 10;

fn batches() -> [Batch; 3] {
    let one_folder = batch(0, vec![at_hour(0, 0), at_hour(1, 0)]);
    let two_folders = batch(2, vec![at_hour(2, 0), at_hour(3, 1), at_hour(4, 0)]);
    let mut none = OpenBatch::new(own(), 5);
    none.cover(6, 1);
    [one_folder, two_folders, none.close().unwrap()]
}

/// Not a test of its own: what the tests below start as a process that may die.
#[test]
fn small_run() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let settings = settings(
        Path::new(&folder),
        FileFormat::Parquet,
        &[PartitionKey::Hour],
    );
    let owner = uuid::Uuid::new_v4().simple().to_string();
    let mut writer = open(&settings, &owner);
    let next = insist(|| writer.claim(&own()));
    for batch in batches() {
        if batch.offsets().start >= next {
            insist(|| writer.write(&batch));
        }
    }
}

/// As a pipeline does it: again while the error may pass, else the process ends.
fn insist<T>(mut attempt: impl FnMut() -> Result<T, WriteError>) -> T {
    for _ in 0..ATTEMPTS {
        match attempt() {
            Ok(value) => return value,
            Err(WriteError::Transient(_)) => {}
            Err(_) => std::process::exit(START_AGAIN),
        }
    }
    panic!("the error did not pass");
}

fn run(folder: &Path, inject: Option<&str>) -> ExitStatus {
    let program = std::env::current_exe().unwrap();
    let mut command = match inject {
        None => Command::new(program),
        Some(inject) => {
            let mut strace = Command::new("strace");
            let call = inject.split(':').next().unwrap();
            strace.args(["-f", "-qq", "-o", "/dev/null"]);
            strace.args(["-e", &format!("trace={call}")]);
            strace
                .args(["-e", &format!("inject={inject}")])
                .arg(program);
            strace
        }
    };
    command
        .args(["--exact", "destinations::files::tests::faults::small_run"])
        .env(FOLDER, folder)
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("scripts/setup has installed strace")
        .status
}

/// The rows of all files that a reader sees, each of which must be whole.
fn rows_in(folder: &Path) -> Vec<i64> {
    let mut names = Vec::new();
    let topic = folder.join(TOPIC);
    if topic.exists() {
        list(&topic, "", &mut names);
    }
    let mut rows = Vec::new();
    for name in names {
        let batch = read(&topic.join(name));
        rows.extend_from_slice(batch["offset"].as_primitive::<Int64Type>().values());
    }
    rows.sort_unstable();
    rows
}

/// Dies at the n-th of the calls for every n there is; answers how many there were.
fn die_at_every(calls: &str) -> usize {
    for n in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let status = run(
            folder.path(),
            Some(&format!("{calls}:signal=SIGKILL:when={n}")),
        );
        let rows = rows_in(folder.path());
        let mut distinct = rows.clone();
        distinct.dedup();
        assert_eq!(rows, distinct, "{calls} {n}: rows are there twice");
        if !status.success() {
            assert!(
                run(folder.path(), None).success(),
                "{calls} {n}: starts again"
            );
        }
        assert_eq!(rows_in(folder.path()), [0, 1, 2, 3, 4], "{calls} {n}");
        assert_eq!(hidden_leftovers(folder.path()), 0, "{calls} {n}");
        if status.success() {
            return n - 1;
        }
    }
    unreachable!("a small run has few calls")
}

/// Files that no owner will need: unfinished ones and plans.
fn hidden_leftovers(folder: &Path) -> usize {
    let entries = fs::read_dir(folder.join(TOPIC)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left = |name: &String| name.ends_with(".plan") || name.ends_with(".tmp");
    names.filter(left).count()
}

#[test]
fn death_at_every_write_sync_link_and_removal_loses_and_doubles_nothing() {
    for (calls, at_least) in [
        ("write", 5),
        ("fsync", 10),
        ("link,linkat", 4),
        ("unlink,unlinkat", 4),
        ("mkdir,mkdirat", 3),
    ] {
        let deaths = die_at_every(calls);
        assert!(deaths >= at_least, "only {deaths} deaths at {calls}");
    }
}

#[test]
fn error_of_the_disk_at_every_call_loses_and_doubles_nothing() {
    for (calls, error, count) in [
        ("fsync", "error=EIO", 16),
        ("write", "error=ENOSPC", 12),
        ("link,linkat", "error=ENOSPC", 5),
        ("mkdir,mkdirat", "error=EACCES", 4),
    ] {
        for n in 1..=count {
            one_error(calls, error, n);
        }
    }
}

fn one_error(calls: &str, error: &str, n: usize) {
    let folder = tempfile::tempdir().unwrap();
    let status = run(folder.path(), Some(&format!("{calls}:{error}:when={n}")));
    if !status.success() {
        assert!(
            run(folder.path(), None).success(),
            "{calls} {n}: starts again"
        );
    }
    assert_eq!(
        rows_in(folder.path()),
        [0, 1, 2, 3, 4],
        "{calls} {error} {n}"
    );
}
