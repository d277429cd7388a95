//! A watched file changes, breaks, vanishes and comes back.

use std::fs;
use std::time::Instant;

use tempfile::TempDir;

use super::*;

const TICK: Duration = Duration::from_millis(5);

struct Stage {
    dir: TempDir,
    watched: Watched<u32>,
    metrics: FileMetrics,
    _watch: Watch,
}

/// A number, or what a broken file of keys would say.
fn number(contents: &[Vec<u8>; 1]) -> Result<u32, FileError> {
    let text = std::str::from_utf8(&contents[0]).map_err(|_| KeyFileError::NotText)?;
    text.parse().map_err(|_| KeyFileError::NotText.into())
}

impl Stage {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "1").unwrap();
        let mut watcher = Watcher::new(&mut Registry::default());
        let watched = watcher.follow("number", [path], number).unwrap();
        let metrics = watcher.metrics.clone();
        Self {
            dir,
            watched,
            metrics,
            _watch: watcher.start(TICK).unwrap(),
        }
    }

    fn write(&self, text: &str) {
        let partial = self.dir.path().join("partial");
        fs::write(&partial, text).unwrap();
        fs::rename(partial, self.dir.path().join("file")).unwrap();
    }

    fn reloads(&self, outcome: &'static str) -> u64 {
        let reload = Reload {
            setting: "number",
            outcome,
        };
        self.metrics.reloads.get_or_create(&reload).get()
    }

    fn stale(&self) -> i64 {
        let setting = Setting { setting: "number" };
        self.metrics.stale.get_or_create(&setting).get()
    }

    #[track_caller]
    fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !holds(self) {
            assert!(Instant::now() < until, "never happened: {what}");
            std::thread::sleep(TICK);
        }
    }
}

#[test]
fn a_changed_file_is_taken_over() {
    let stage = Stage::start();
    assert_eq!(*stage.watched.get(), 1);
    stage.write("2");
    stage.wait("the new number", |it| *it.watched.get() == 2);
    stage.wait("the count", |it| it.reloads("loaded") == 1);
    assert_eq!(stage.stale(), 0);
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_once() {
    let stage = Stage::start();
    stage.write("two");
    stage.wait("the refusal", |it| it.reloads("refused") == 1);
    stage.wait("the gauge", |it| it.stale() == 1);
    assert_eq!(*stage.watched.get(), 1);
    fs::remove_file(stage.dir.path().join("file")).unwrap();
    stage.wait("the second refusal", |it| it.reloads("refused") == 2);
    assert_eq!(*stage.watched.get(), 1);
    stage.write("3");
    stage.wait("the new number", |it| *it.watched.get() == 3);
    stage.wait("the gauge", |it| it.stale() == 0);
    assert_eq!(stage.reloads("refused"), 2);
}

#[test]
fn a_file_that_is_broken_from_the_start_is_an_error() {
    let mut watcher = Watcher::new(&mut Registry::default());
    let nowhere = PathBuf::from("/nonexistent/file");
    assert!(watcher.follow("number", [nowhere], number).is_err());
}

#[test]
fn a_huge_file_is_not_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, vec![b'1'; 2 << 20]).unwrap();
    let mut watcher = Watcher::new(&mut Registry::default());
    let refused = watcher.follow("number", [path], number).err().unwrap();
    assert!(refused.to_string().contains("larger than"), "{refused}");
}
