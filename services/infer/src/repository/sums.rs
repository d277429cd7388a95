//! `SHA256SUMS`: one line per file, as `sha256sum` writes them.

use std::collections::BTreeMap;

use super::digest::{hex, parse_hex};
use super::layout::is_clean;

/// The name of such a file, in a version's folder or, on web servers, beside the models.
pub(super) const FILE: &str = "SHA256SUMS";

/// Digests by path, relative to the file's folder.
pub(super) type Sums = BTreeMap<String, [u8; 32]>;

/// Reads the lines; `./` before a path does not count.
///
/// # Errors
/// A sentence about the first line that is wrong.
pub(super) fn parse(text: &str) -> Result<Sums, String> {
    let mut sums = Sums::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |problem: &str| format!("line {} {problem}", index + 1);
        // Two blanks, or a blank and a star: text and binary, which are the same here.
        let (digest, path) = line
            .split_once("  ")
            .or_else(|| line.split_once(" *"))
            .ok_or_else(|| wrong("is not `<sha256>  <path>`, as sha256sum writes it"))?;
        let digest = parse_hex(digest).ok_or_else(|| wrong("does not begin with 64 hex digits"))?;
        let path = path.strip_prefix("./").unwrap_or(path);
        if !is_clean(path) {
            return Err(wrong("names a file outside of its folder"));
        }
        sums.insert(path.to_owned(), digest);
    }
    Ok(sums)
}

/// The lines of `sha256sum`.
pub(super) fn write(sums: &Sums) -> String {
    let line = |(path, digest): (&String, &[u8; 32])| format!("{}  {path}\n", hex(digest));
    sums.iter().map(line).collect()
}

/// Compares files with what is said of them.
///
/// # Errors
/// A sentence about the first file that is not there, not listed although the model needs it, or not the same.
pub(super) fn check(listed: &Sums, present: &Sums, needed: &[String]) -> Result<(), String> {
    for (path, digest) in listed {
        match present.get(path) {
            Some(present) if present == digest => {}
            Some(present) => {
                let (listed, present) = (hex(digest), hex(present));
                return Err(format!("{path} has the SHA-256 {present}, not {listed}"));
            }
            None => return Err(format!("{FILE} lists {path}, which is not there")),
        }
    }
    match needed.iter().find(|path| !listed.contains_key(*path)) {
        Some(missing) => Err(format!("{FILE} does not list {missing}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_sha256sum_are_read_and_others_are_named() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let text = format!("{digest}  ./a/1/model.onnx\n\n{digest} *b c.bin\n");
        let sums = parse(&text).unwrap();
        assert_eq!(Vec::from_iter(sums.keys()), ["a/1/model.onnx", "b c.bin"]);
        for (text, problem) in [
            ("abc  x", "line 1"),
            ("nothing", "sha256sum"),
            (&format!("{digest}  ../x"), "outside"),
            (&format!("{digest}  /etc/x"), "outside"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn files_that_are_changed_missing_or_not_listed_are_named() {
        let sums = |files: &[(&str, u8)]| -> Sums {
            let file = |(path, byte): &(&str, u8)| ((*path).to_owned(), [*byte; 32]);
            files.iter().map(file).collect()
        };
        let present = sums(&[("a", 1), ("b", 2), ("README", 9)]);
        let check = |listed: &[(&str, u8)], needed: &[&str]| {
            let needed: Vec<String> = needed.iter().map(|path| (*path).to_owned()).collect();
            super::check(&sums(listed), &present, &needed)
        };
        check(&[("a", 1), ("b", 2)], &["a", "b"]).unwrap();
        let error = check(&[("a", 2)], &[]).unwrap_err();
        assert!(
            error.starts_with("a has") && error.contains("0202"),
            "{error}"
        );
        assert!(check(&[("c", 1)], &[]).unwrap_err().contains("lists c"));
        assert!(check(&[("a", 1)], &["b"]).unwrap_err().contains("list b"));
    }

    #[test]
    fn what_is_written_is_read() {
        let sums = Sums::from([("a/b".to_owned(), [1; 32]), ("c".to_owned(), [255; 32])]);
        assert_eq!(parse(&write(&sums)).unwrap(), sums);
    }
}
