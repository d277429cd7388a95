//! What a path within a repository is: `<name>/<version>/<file>` or `<name>/model.toml`.

use std::collections::BTreeMap;

use super::digest::FileState;

/// The file beside a model's versions that says how it is served.
pub(super) const OPTIONS: &str = "model.toml";

/// The files of a repository that is only a list of paths.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) models: BTreeMap<String, Model>,
}

/// One model of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) options: Option<FileState>,
    /// Paths of the files are relative to the version's folder.
    pub(super) versions: BTreeMap<i64, Vec<FileState>>,
}

impl Listing {
    /// Sorts files with paths within the repository; what belongs to no model is left out.
    pub(super) fn of(files: impl IntoIterator<Item = FileState>) -> Self {
        let mut listing = Self::default();
        for file in files {
            let Some((name, rest)) = file.path.split_once('/') else {
                continue;
            };
            if is_hidden(name) || !is_clean(&file.path) {
                continue;
            }
            let (name, rest) = (name.to_owned(), rest.to_owned());
            let model = listing.models.entry(name).or_default();
            if rest == OPTIONS {
                model.options = Some(file);
            } else if let Some((version, path)) = rest.split_once('/')
                && let Some(version) = version_number(version)
            {
                let files = model.versions.entry(version).or_default();
                files.push(FileState {
                    path: path.to_owned(),
                    ..file
                });
            }
        }
        listing
    }
}

/// Names that begin with `.` or `_` are nobody's model.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// Versions are whole numbers, written without leading zeros so that a folder has one number and a number one folder.
pub(super) fn version_number(name: &str) -> Option<i64> {
    let version: i64 = name.parse().ok()?;
    (version >= 0 && version.to_string() == name).then_some(version)
}

/// Whether a path stays in its folder: relative, with `/`, without `.`, `..`, empty parts, and nothing that another
/// system would take for more.
pub(super) fn is_clean(path: &str) -> bool {
    !path.contains(['\\', '\0', ':'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_by_model_and_version() {
        let files = [
            "digits/model.toml",
            "digits/1/model.onnx",
            "digits/10/variables/v.index",
            "digits/next/model.onnx",
            "digits/02/model.onnx",
            ".git/1/x",
            "README.md",
            "digits/1/../../x",
        ];
        let files = files.map(|path| FileState {
            path: path.to_owned(),
            size: 1,
            state: String::new(),
        });
        let listing = Listing::of(files);
        let digits = &listing.models["digits"];
        assert_eq!(listing.models.len(), 1);
        assert!(digits.options.is_some());
        assert_eq!(Vec::from_iter(digits.versions.keys()), [&1, &10]);
        assert_eq!(digits.versions[&10][0].path, "variables/v.index");
        assert_eq!(digits.versions[&1].len(), 1);
    }

    #[test]
    fn paths_that_leave_their_folder_are_not_clean() {
        for path in ["a/b.bin", "..a/b", "a b"] {
            assert!(is_clean(path), "{path}");
        }
        for path in [
            "", "/a", "a//b", "../a", "a/..", "./a", "a\\..\\b", "c:/x", "a\0",
        ] {
            assert!(!is_clean(path), "{path}");
        }
    }
}
