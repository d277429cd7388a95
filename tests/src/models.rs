//! A model folder of one test: versions of the digits model that differ in their bytes and not in their answers.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::line::project_path;

/// A repository that a test changes while it is served.
pub struct ModelFolder(TempDir);

impl ModelFolder {
    /// An empty one.
    ///
    /// # Panics
    /// When there is no temporary folder.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder can be made"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts a version of the digits model there, whole at once; its SHA-256.
    ///
    /// # Panics
    /// When the files cannot be written.
    pub fn put(&self, model: &str, version: i64) -> String {
        let mut bytes = digits_model();
        // Field 6 of an ONNX model is its doc string; the last one counts.
        let text = format!("version {version}");
        bytes.extend([0x32, u8::try_from(text.len()).expect("it is short")]);
        bytes.extend(text.as_bytes());
        self.put_bytes(model, version, &bytes);
        let digest = Sha256::digest(&bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Puts any bytes there as a version, whole at once.
    ///
    /// # Panics
    /// When the files cannot be written.
    pub fn put_bytes(&self, model: &str, version: i64, bytes: &[u8]) {
        let folder = self.version(model, version);
        let parts = self.0.path().join("_parts");
        fs::create_dir_all(&parts).expect("the folder is writable");
        fs::write(parts.join("model.onnx"), bytes).expect("the folder is writable");
        fs::create_dir_all(self.0.path().join(model)).expect("the folder is writable");
        if folder.exists() {
            fs::rename(parts.join("model.onnx"), folder.join("model.onnx"))
                .expect("a file can be replaced");
        } else {
            fs::rename(&parts, &folder).expect("a folder can be moved");
        }
    }

    /// Writes a model's `model.toml`, whole at once.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn say(&self, model: &str, toml: &str) {
        let folder = self.0.path().join(model);
        fs::create_dir_all(&folder).expect("the folder is writable");
        fs::write(folder.join("model.toml.part"), toml).expect("the folder is writable");
        fs::rename(folder.join("model.toml.part"), folder.join("model.toml"))
            .expect("a file can be replaced");
    }

    /// Takes a model away.
    ///
    /// # Panics
    /// When it is not there.
    pub fn remove(&self, model: &str) {
        let away = self.0.path().join(format!("_{model}"));
        fs::rename(self.0.path().join(model), away).expect("a folder can be moved");
    }

    fn version(&self, model: &str, version: i64) -> PathBuf {
        self.0.path().join(model).join(version.to_string())
    }
}

/// The bytes of the digits model.
fn digits_model() -> Vec<u8> {
    fs::read(project_path("models/digits/1/model.onnx"))
        .expect("the digits model is in the project")
}
