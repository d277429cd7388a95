//! A store that is down is waited for; what a working one lacks is given up.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::*;
use crate::metrics::Metrics;
use crate::settings::ClaimSettings;

fn store(root: &Path) -> Store {
    let settings = ClaimSettings {
        url: root.display().to_string(),
        missing_after: Duration::from_millis(100),
        ..ClaimSettings::default()
    };
    Store::open(&settings, Metrics::default()).unwrap().unwrap()
}

#[test]
fn a_store_that_is_down_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let (root, away) = (folder.path().join("claims"), folder.path().join("away"));
    let store = store(&root);
    let object = store.put(b"value").unwrap();
    fs::rename(&root, &away).unwrap();
    let comes_back = thread::spawn({
        let (root, away) = (root.clone(), away.clone());
        move || {
            // Longer than a missing object is looked for.
            thread::sleep(Duration::from_millis(400));
            fs::rename(away, root).unwrap();
        }
    });
    assert_eq!(store.get_in_time(&object, &|| true).unwrap(), b"value");
    comes_back.join().unwrap();
    assert_eq!(store.put_in_time(b"value", &|| true).unwrap(), object);
}

#[test]
fn what_a_working_store_lacks_is_given_up_in_the_end() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    let object = store.put(b"value").unwrap();
    fs::remove_file(folder.path().join(&object.path)).unwrap();
    let began = Instant::now();
    let given_up = store.get_in_time(&object, &|| true);
    assert!(matches!(
        given_up,
        Err(Unclaimed::Refused(ClaimError::Missing { .. }))
    ));
    assert!(
        began.elapsed() >= Duration::from_millis(100),
        "it was looked for again"
    );
}

#[test]
fn a_wait_that_nobody_wants_ends() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("claims");
    let store = store(&root);
    let object = store.put(b"value").unwrap();
    fs::rename(&root, folder.path().join("away")).unwrap();
    let wanted = AtomicBool::new(true);
    thread::scope(|scope| {
        let waiting =
            scope.spawn(|| store.get_in_time(&object, &|| wanted.load(Ordering::Relaxed)));
        wanted.store(false, Ordering::Relaxed);
        assert!(matches!(waiting.join().unwrap(), Err(Unclaimed::Unwanted)));
    });
}
