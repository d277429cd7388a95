//! Which process owns a partition of a local folder: a token in a file, read and written under a lock.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Locks are held for a listing or a few links, hence for milliseconds. Only a process that is
/// suspended right then holds one longer, and keeps others out until it goes on or dies.
const LOCK_DEADLINE: Duration = Duration::from_secs(5);

#[derive(PartialEq, Eq)]
enum Missing {
    Create,
    Refuse,
}

/// The lock of an owner file; it ends with the file handle, also when the process dies.
pub(super) struct Locked {
    _file: File,
}

/// Becomes the owner.
pub(super) fn take(path: &Path, owner: &str) -> io::Result<Locked> {
    let mut file = lock(path, Missing::Create)?;
    file.set_len(0)?;
    file.write_all(owner.as_bytes())?;
    Ok(Locked { _file: file })
}

/// The lock if `owner` is the owner; `None` if it is another, or nobody is.
pub(super) fn check(path: &Path, owner: &str) -> io::Result<Option<Locked>> {
    let mut file = match lock(path, Missing::Refuse) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut written = String::new();
    file.read_to_string(&mut written)?;
    Ok((written == owner).then_some(Locked { _file: file }))
}

fn lock(path: &Path, missing: Missing) -> io::Result<File> {
    let create = missing == Missing::Create;
    let file = File::options()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() > LOCK_DEADLINE => {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    "another process holds the lock of the partition",
                ));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(2)),
        }
    }
}
