//! Encrypted versions: plain files exist in a private folder, in memory where there is such a place, only while an engine
//! loads them.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_vault::{ClusterServing, Key, VaultError};

use super::ModelError;
use super::local::unreadable;
use super::scratch::Scratch;
use crate::settings::ModelSettings;

/// End of the names of encrypted files; the plain file has the name without it.
pub(super) const SUFFIX: &str = ".enc";
/// Memory that looks like a folder.
const SHARED_MEMORY: &str = "/dev/shm";
/// Cluster Serving's files are decrypted in memory.
const MOST_OLD_BYTES: u64 = 4 << 30;

/// The key, and where plain files may be.
#[derive(Debug)]
pub(super) struct Vault {
    key: Option<Key>,
    private: PathBuf,
}

/// How the files of a version are encrypted.
#[derive(Debug, Clone)]
pub(super) struct Encryption {
    /// Files that are, relative to the version's folder.
    pub(super) files: Vec<String>,
    /// For those that do not say themselves.
    pub(super) old_format: Option<ClusterServing>,
}

impl Vault {
    pub(super) fn open(settings: &ModelSettings) -> Result<Self, ModelError> {
        let failed = |error| ModelError::Key(Arc::new(error));
        let key = match &settings.key_file {
            Some(file) => Some(Key::read(file).map_err(failed)?),
            None if settings.key.is_empty() => None,
            None => Some(Key::new(&settings.key).map_err(failed)?),
        };
        let private = match &settings.decrypted {
            Some(folder) => folder.clone(),
            None if is_memory(SHARED_MEMORY) => PathBuf::from(SHARED_MEMORY),
            None => settings.cache.clone(),
        };
        Ok(Self { key, private })
    }

    /// Plain copies of all files of a version, under their plain names.
    pub(super) fn decrypt(
        &self,
        folder: &Path,
        files: &[String],
        encryption: &Encryption,
    ) -> Result<Scratch, ModelError> {
        let key = self.key.as_ref().ok_or_else(|| ModelError::NoKey {
            place: folder.display().to_string(),
        })?;
        let scratch = Scratch::create(&self.private)?;
        for file in files {
            let from = folder.join(file);
            let to = scratch.path().join(plain_name(file));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).map_err(unreadable(parent))?;
            }
            if encryption.files.contains(file) {
                let outcome = decrypt_file(&from, &to, key, encryption.old_format.as_ref());
                outcome.map_err(|source| match source {
                    VaultError::Io(error) => unreadable(&to)(error),
                    source => ModelError::Decrypt {
                        file: from.clone(),
                        source: Arc::new(source),
                    },
                })?;
            } else {
                fs::copy(&from, &to).map_err(unreadable(&to))?;
            }
        }
        Ok(scratch)
    }
}

/// The name without the end that says that it is encrypted.
pub(super) fn plain_name(file: &str) -> &str {
    file.strip_suffix(SUFFIX).unwrap_or(file)
}

/// Which files begin as `millrace models encrypt` begins them, or have its end of names.
pub(super) fn encrypted_files(folder: &Path, files: &[String]) -> Result<Vec<String>, ModelError> {
    let mut encrypted = Vec::new();
    for file in files {
        let path = folder.join(file);
        let mut start = Vec::new();
        let read = File::open(&path).and_then(|file| {
            let length = millrace_vault::MAGIC.len() as u64;
            file.take(length).read_to_end(&mut start)
        });
        read.map_err(unreadable(&path))?;
        if file.ends_with(SUFFIX) || millrace_vault::is_encrypted(&start) {
            encrypted.push(file.clone());
        }
    }
    Ok(encrypted)
}

fn decrypt_file(
    from: &Path,
    to: &Path,
    key: &Key,
    old_format: Option<&ClusterServing>,
) -> Result<(), VaultError> {
    let mut input = BufReader::new(File::open(from)?);
    let output = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    let mut output = BufWriter::new(output);
    let mut start = Vec::new();
    let length = millrace_vault::MAGIC.len() as u64;
    (&mut input).take(length).read_to_end(&mut start)?;
    let whole = start.as_slice().chain(input);
    match old_format {
        Some(format) if !millrace_vault::is_encrypted(&start) => {
            let mut file = Vec::new();
            whole.take(MOST_OLD_BYTES).read_to_end(&mut file)?;
            output.write_all(&format.decrypt(&file, key)?)?;
        }
        Some(_) | None => {
            millrace_vault::decrypt(whole, &mut output, key)?;
        }
    }
    output.flush()?;
    Ok(())
}

/// Whether a folder is a file system in memory of its own.
fn is_memory(folder: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let is_it = |line: &str| {
        let mut fields = line.split(' ');
        fields.nth(1) == Some(folder) && fields.next() == Some("tmpfs")
    };
    mounts.lines().any(is_it) && Path::new(folder).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{ModelSource, Repository};
    use crate::settings::Settings;

    const KEY: &str = "correct horse battery staple";

    /// Fetches the only version of a repository with these files.
    fn source(
        files: &[(&str, &[u8])],
        key: &str,
    ) -> (tempfile::TempDir, Result<ModelSource, ModelError>) {
        let root = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.models.path = root.path().join("models");
        settings.models.decrypted = Some(root.path().join("plain"));
        settings.models.key = key.to_owned();
        for (path, content) in files {
            let path = settings.models.path.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let repository = Repository::open(&settings).unwrap();
        let found = repository.scan().unwrap();
        let source = repository.fetch("m", &found[0].versions[0]);
        (root, source)
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        millrace_vault::encrypt(plain, &mut sealed, &Key::new(KEY).unwrap()).unwrap();
        sealed
    }

    fn complaint(error: ModelError) -> String {
        format!("{:#}", anyhow::Error::from(error))
    }

    #[test]
    fn plain_files_are_there_only_while_a_version_is_open() {
        let weights = sealed(b"weights");
        let files = [
            ("m/1/a.tflite.enc", &weights[..]),
            ("m/1/labels.txt", b"cat"),
        ];
        let (root, source) = source(&files, KEY);
        let open = source.unwrap().open().unwrap();
        assert_eq!(fs::read(&open.files.main).unwrap(), b"weights");
        assert!(open.files.main.ends_with("a.tflite"));
        assert_eq!(
            fs::read(open.files.folder.join("labels.txt")).unwrap(),
            b"cat"
        );
        assert!(open.files.folder.starts_with(root.path().join("plain")));
        drop(open);
        assert_eq!(fs::read_dir(root.path().join("plain")).unwrap().count(), 0);
    }

    #[test]
    fn without_the_key_a_version_says_what_is_missing() {
        let weights = sealed(b"weights");
        let files = [("m/1/a.tflite.enc", &weights[..])];
        let error = complaint(source(&files, "").1.unwrap().open().unwrap_err());
        assert!(error.contains("models.key_file"), "{error}");
        let error = complaint(
            source(&files, "another long key")
                .1
                .unwrap()
                .open()
                .unwrap_err(),
        );
        assert!(
            error.contains("a.tflite.enc: the key is not the one"),
            "{error}"
        );
        assert!(!error.contains("another"), "{error}");
        let files = [("m/1/a.tflite.enc", &b"plain after all"[..])];
        let error = complaint(source(&files, KEY).1.unwrap().open().unwrap_err());
        assert!(error.contains("not encrypted in a format"), "{error}");
    }

    #[test]
    fn files_of_cluster_serving_are_read_as_they_are() {
        let vectors = include_str!("../../../../crates/vault/tests/vectors.txt");
        let vector = vectors.lines().next().unwrap().split_once(' ').unwrap().1;
        let toml = "[encryption]\nformat = \"cluster-serving\"\nsalt = \"pinch of salt\"";
        let files = [
            ("m/1/a.xml", vector.as_bytes()),
            ("m/1/a.bin", vector.as_bytes()),
            ("m/1/notes", b"plain"),
            ("m/model.toml", toml.as_bytes()),
        ];
        let (_root, source) = source(&files, KEY);
        let open = source.unwrap().open().unwrap();
        for name in ["a.xml", "a.bin"] {
            let plain = fs::read(open.files.folder.join(name)).unwrap();
            assert!(plain.starts_with(b"<net name=\"digits\"/>"));
        }
        assert_eq!(fs::read(open.files.folder.join("notes")).unwrap(), b"plain");
    }

    #[test]
    fn what_a_decrypted_model_names_is_confined_as_well() {
        // An initializer whose data is in ../secret.
        let short = |field: u8, content: &[u8]| -> Vec<u8> {
            let length = u8::try_from(content.len()).unwrap();
            [&[field, length], content].concat()
        };
        let entry = [&b"\x0a\x08location\x12\x09"[..], b"../secret"].concat();
        let tensor = short(0x6a, &entry);
        let graph = short(0x2a, &tensor);
        let model = sealed(&short(0x3a, &graph));
        let files = [("m/1/model.onnx.enc", &model[..])];
        let error = complaint(source(&files, KEY).1.unwrap().open().unwrap_err());
        assert!(error.contains("../secret"), "{error}");
    }
}
