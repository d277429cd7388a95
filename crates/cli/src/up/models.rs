//! The models of a folder, by name: those that have a version.

use std::path::Path;

use crate::exit::Exit;

/// # Errors
/// There is no such folder, or no model in it.
pub(super) fn find(folder: &Path) -> anyhow::Result<Vec<String>> {
    let missing = |problem: &str| {
        Exit::Missing.error(format!(
            "{problem} {}; name a folder of <name>/<version>/model.onnx with --models",
            folder.display()
        ))
    };
    let entries = std::fs::read_dir(folder).map_err(|_| missing("there is no folder"))?;
    let mut models = Vec::new();
    for entry in entries {
        let entry = entry?;
        if has_version(&entry.path()) {
            models.extend(entry.file_name().into_string());
        }
    }
    models.sort();
    match models.is_empty() {
        true => Err(missing("there is no model in")),
        false => Ok(models),
    }
}

fn has_version(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    let is_version =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    entries
        .flatten()
        .any(|entry| entry.file_name().to_str().is_some_and(is_version) && entry.path().is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_a_version_are_models() {
        let folder = tempfile::TempDir::new().unwrap();
        let error = find(folder.path()).unwrap_err().to_string();
        assert!(error.contains("--models"), "{error}");
        for name in ["fraud/2", "digits/1", "notes/old", ".git/1x"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("README.md"), "").unwrap();
        assert_eq!(find(folder.path()).unwrap(), ["digits", "fraud"]);
        assert!(find(&folder.path().join("nowhere")).is_err());
    }
}
