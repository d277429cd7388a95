//! Programs in Python beside the tests: other people's readers, and a real S3 server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The Python of the project, with the packages of scripts/requirements.txt.
pub(crate) fn python() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(root.join(".venv/bin/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A script in the folder `tests` of this crate.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// A moto server with one bucket, `results`; ends with this value.
pub(crate) struct S3Server {
    child: Child,
    pub(crate) endpoint: String,
}

impl S3Server {
    pub(crate) fn start() -> Self {
        let mut child = python()
            .arg(script("s3_server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/setup has made .venv");
        let mut endpoint = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut endpoint).unwrap();
        assert!(endpoint.starts_with("http://"), "moto starts: {endpoint:?}");
        Self {
            child,
            endpoint: endpoint.trim().to_owned(),
        }
    }

    /// Settings of a destination for this server, in TOML.
    pub(crate) fn options(&self) -> String {
        format!(
            r#"options = {{ endpoint = "{}", allow_http = "true", region = "us-east-1", access_key_id = "key", secret_access_key = "secret" }}"#,
            self.endpoint
        )
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
