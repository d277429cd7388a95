//! What a store in a folder gives back, and what it refuses.

use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::metrics::Metrics;
use crate::settings::ClaimSettings;
use crate::store::Store;

const VALUE: &[u8] = b"a large tensor";

/// A store with one value in it.
fn filled() -> (TempDir, Store, Object) {
    let folder = TempDir::new().unwrap();
    let store = store_in(folder.path());
    let object = store.put(VALUE).unwrap();
    (folder, store, object)
}

fn store_in(root: &Path) -> Store {
    let settings = ClaimSettings {
        url: root.join("claims").display().to_string(),
        max_bytes: 100,
        ..ClaimSettings::default()
    };
    Store::open(&settings, Metrics::default()).unwrap().unwrap()
}

/// The object under another path.
fn at(object: &Object, path: &str) -> Object {
    Object {
        path: path.to_owned(),
        ..object.clone()
    }
}

#[test]
fn a_value_comes_back_and_is_one_object_however_often_it_is_put() {
    let (folder, store, object) = filled();
    assert_eq!(store.get(&object).unwrap(), VALUE);
    assert_eq!(store.put(VALUE).unwrap(), object);
    let day = folder.path().join("claims").join(&object.path);
    let day = day.parent().unwrap();
    assert_eq!(fs::read_dir(day).unwrap().count(), 1, "no drafts are left");
}

#[test]
fn no_path_leads_out_of_the_store() {
    let (folder, store, object) = filled();
    fs::write(folder.path().join("secret"), VALUE).unwrap();
    for path in [
        "../secret",
        "values/../../secret",
        "/etc/hostname",
        "",
        ".",
        "values//x",
        "values/",
        "%2e%2e/secret",
        "..\\secret",
        "values/a\0b",
        "values/.hidden",
    ] {
        let error = store.get(&at(&object, path)).unwrap_err();
        assert!(matches!(error, ClaimError::Wrong { .. }), "{path}: {error}");
    }
}

#[test]
fn no_link_is_followed() {
    let (folder, store, object) = filled();
    let root = folder.path().join("claims");
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), VALUE).unwrap();
    symlink(outside.join("secret"), root.join("values/link")).unwrap();
    symlink(&outside, root.join("values/folder")).unwrap();
    symlink(root.join(&object.path), root.join("values/inside")).unwrap();
    for path in [
        "values/link",
        "values/folder/secret",
        "values/inside",
        "values",
    ] {
        let error = store.get(&at(&object, path)).unwrap_err();
        assert!(matches!(error, ClaimError::Wrong { .. }), "{path}: {error}");
    }
}

#[test]
fn another_length_and_another_content_are_refused() {
    let (folder, store, object) = filled();
    let file = folder.path().join("claims").join(&object.path);
    fs::write(&file, b"a large tensoR").unwrap();
    let error = store.get(&object).unwrap_err().to_string();
    assert!(
        error.ends_with("does not hash to what the record says"),
        "{error}"
    );
    fs::write(&file, b"short").unwrap();
    let error = store.get(&object).unwrap_err().to_string();
    assert!(
        error.ends_with("has 5 bytes, and the record says 14"),
        "{error}"
    );
}

#[test]
fn what_is_too_large_is_neither_put_nor_read() {
    let (_folder, store, object) = filled();
    let error = store.put(&[0; 101]).unwrap_err();
    assert!(matches!(error, ClaimError::TooLarge { length: 101, .. }));
    let announced = Object {
        length: u64::MAX,
        ..object
    };
    let error = store.get(&announced).unwrap_err();
    assert!(error.to_string().contains("claims.max_bytes"), "{error}");
}

#[test]
fn an_object_is_missing_only_where_the_store_is() {
    let (folder, store, object) = filled();
    let root = folder.path().join("claims");
    let other = at(&object, "values/2026-01-01/none");
    assert!(matches!(store.get(&other), Err(ClaimError::Missing { .. })));
    let away = folder.path().join("away");
    fs::rename(&root, &away).unwrap();
    assert!(matches!(store.get(&object), Err(ClaimError::Down(_))));
    assert!(matches!(store.put(VALUE), Err(ClaimError::Down(_))));
    fs::create_dir(&root).unwrap();
    assert!(
        matches!(store.get(&object), Err(ClaimError::Down(_))),
        "an empty place is no store"
    );
    assert!(
        matches!(store.put(VALUE), Err(ClaimError::Down(_))),
        "nothing is written beside it"
    );
    fs::remove_dir(&root).unwrap();
    fs::rename(&away, &root).unwrap();
    assert_eq!(store.get(&object).unwrap(), VALUE);
}

#[test]
fn old_days_are_removed_whole_and_nothing_else() {
    let (folder, store, object) = filled();
    let values = folder.path().join("claims/values");
    for (day, name) in [
        ("2020-01-31", "a"),
        ("2020-01-31", ".draft"),
        ("not-a-day", "b"),
    ] {
        fs::create_dir_all(values.join(day)).unwrap();
        fs::write(values.join(day).join(name), b"1234").unwrap();
    }
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let two = Purged {
        objects: 2,
        bytes: 8,
    };
    assert_eq!(store.purge(week, true).unwrap(), two);
    assert!(values.join("2020-01-31").exists(), "they were only counted");
    assert_eq!(store.purge(week, false).unwrap(), two);
    assert!(!values.join("2020-01-31").exists());
    assert!(values.join("not-a-day/b").exists());
    assert_eq!(store.get(&object).unwrap(), VALUE);
    assert_eq!(
        store.purge(Duration::ZERO, false).unwrap(),
        Purged::default(),
        "today is not over"
    );
}

#[test]
fn a_name_says_the_day() {
    let object = Object::of(VALUE, SystemTime::UNIX_EPOCH);
    assert!(
        object.path.starts_with("values/1970-01-01/"),
        "{}",
        object.path
    );
    assert_eq!(object.path.len(), "values/1970-01-01/".len() + 64);
}
