//! Access as `front` and the listeners use it, with real files, keys and handshakes.

mod credentials;
mod handshakes;
mod tokens;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tempfile::TempDir;

use super::*;

/// Files of a test, replaced whole as a careful operator does.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let partial = self.path("partial");
        fs::write(&partial, content).unwrap();
        fs::rename(partial, self.path(name)).unwrap();
        self.path(name)
    }
}

/// How often the files of a test are looked at.
const TICK: Duration = Duration::from_millis(5);

fn watcher() -> Watcher {
    Watcher::new(&mut Registry::default())
}

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "never happened: {what}");
        std::thread::sleep(TICK);
    }
}

/// A key file with one key, of this text.
fn key_file(name: &str, key: &str) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(key.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "[[keys]]\nname = {name:?}\nsha256 = {hex:?}\nmodels = [\"digits\"]\nrights = [\"predict\"]\n"
    )
}

fn open(settings: &AccessSettings) -> (Access, Watch) {
    let mut watcher = watcher();
    let access = Access::open(settings, &ControlSettings::default(), &mut watcher).unwrap();
    (access, watcher.start(TICK).unwrap())
}

/// Asks with an `Authorization` header.
fn ask(access: &Access, authorization: &str) -> Result<Caller, AccessError> {
    access.authenticate(Presented::of([authorization.as_bytes()], []))
}
