//! A whole line of its own for one test: topics under a prefix that nobody else uses, and the services it starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, binary_path};

/// How long a test waits for records to come through before it fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Topics and settings that the services of one test share.
pub struct Line {
    brokers: String,
    prefix: String,
    dir: TempDir,
}

impl Line {
    /// A line on the broker that `make test` started, with the topics of these models.
    ///
    /// # Panics
    /// When no broker is named or the topics cannot be created.
    pub fn new(models: &[&str], partitions: u32) -> Self {
        Self::on(&broker_of_all(), models, partitions)
    }

    /// A line on a given broker.
    ///
    /// # Panics
    /// When the topics cannot be created.
    pub fn on(brokers: &str, models: &[&str], partitions: u32) -> Self {
        Self::apply(brokers, models, &["--partitions", &partitions.to_string()])
    }

    /// A line on the broker that `make test` started, with one partition per model and topics that take records of a
    /// megabyte, as a broker's own topics do.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn with_small_records(models: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let text = fs::read_to_string(project_path("schemas/topics.yaml"));
        let text = text.expect("the topics are described");
        let text = text
            .replace("16777216", "1048576")
            .replace("20971520", "1048576");
        let file = folder.path().join("topics.yaml");
        fs::write(&file, text).expect("the folder is writable");
        let brokers = broker_of_all();
        let file = file.display().to_string();
        Self::apply(&brokers, models, &["--partitions", "1", "--file", &file])
    }

    fn apply(brokers: &str, models: &[&str], arguments: &[&str]) -> Self {
        let line = Self {
            brokers: brokers.to_owned(),
            prefix: format!("e2e-{}", uuid::Uuid::new_v4().simple()),
            dir: TempDir::new().expect("a temporary folder can be made"),
        };
        let mut command = Command::new(binary_path("millrace"));
        command.args([
            "topics",
            "apply",
            "--brokers",
            brokers,
            "--prefix",
            &line.prefix,
        ]);
        command.args(arguments);
        // As many copies as there are nodes; without it there would be one, and a node that is away would take it along.
        let nodes = brokers.split(',').count();
        command.args(["--replication", &nodes.to_string()]);
        for model in models {
            command.args(["--model", model]);
        }
        let output = command.output().expect("the millrace tool runs");
        assert!(
            output.status.success(),
            "topics apply: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        line
    }

    /// Where its broker listens.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A folder of this test alone.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The full name of one of its topics, for example `requests.digits`.
    pub fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Starts an infer process. It commits often, so that a commit that comes too early is there when it is killed.
    pub fn infer(&self, infer: Infer<'_>) -> Process {
        let settings = self.infer_settings(infer);
        Process::start("millrace-infer", "admin.port_file", self.dir(), &settings)
    }

    /// The settings of an infer process, as TOML.
    pub fn infer_settings(&self, infer: Infer<'_>) -> String {
        let Infer {
            models,
            names,
            max_rows,
            engines,
            brokers,
            settings: extra,
        } = infer;
        let brokers = brokers.unwrap_or(&self.brokers);
        let models = project_path(models);
        let library = project_path(".native/onnxruntime/libonnxruntime.so");
        let openvino = project_path(".native/openvino/libopenvino_c.so");
        let state = self.dir().join("state");
        let cache = self.dir().join("model-cache");
        format!(
            "{extra}
{}
[models]
path = {models:?}
names = {names:?}
cache = {cache:?}
[batch]
max_rows = {max_rows}
\
             [engine]\nlibrary = {library:?}\ninstances = {engines}\nthreads = 1\n\
             [engine.openvino]\nlibrary = {openvino:?}\n\
             [consumer]\ncommit_interval = \"50ms\"\n[state]\npath = {state:?}\n",
            self.settings_on(brokers, "admin"),
        )
    }

    /// Starts an infer process over a folder of its own, which it looks at often. `extra` is TOML in the section
    /// `models`.
    pub fn infer_over(&self, folder: &Path, extra: &str) -> Process {
        let library = project_path(".native/onnxruntime/libonnxruntime.so");
        let state = self.dir().join("state");
        let settings = format!(
            "{}\n[models]\npath = {folder:?}\npoll_interval = \"100ms\"\n{extra}\n\
             [engine]\nlibrary = {library:?}\n[consumer]\ncommit_interval = \"50ms\"\n\
             [state]\npath = {state:?}\n",
            self.shared_settings("admin"),
        );
        Process::start("millrace-infer", "admin.port_file", self.dir(), &settings)
    }

    /// Starts an ingest process; `extra` is TOML at the root of its settings.
    pub fn ingest(&self, extra: &str) -> Process {
        let grpc = "[grpc]\nlisten = \"127.0.0.1:0\"";
        let settings = format!("{extra}\n{}\n{grpc}", self.shared_settings("http"));
        Process::start("millrace-ingest", "http.port_file", self.dir(), &settings)
    }

    /// Starts a sink process with these pipelines, in TOML.
    pub fn sink(&self, pipelines: &str) -> Process {
        let settings = format!("{}\n{pipelines}", self.shared_settings("admin"));
        Process::start("millrace-sink", "admin.port_file", self.dir(), &settings)
    }

    fn shared_settings(&self, listener: &str) -> String {
        self.settings_on(&self.brokers, listener)
    }

    fn settings_on(&self, brokers: &str, listener: &str) -> String {
        format!(
            "[kafka]\nbrokers = {brokers:?}\n[topics]\nprefix = {:?}\n[{listener}]\nlisten = \"127.0.0.1:0\"",
            self.prefix
        )
    }
}

/// The broker that `make test` started.
fn broker_of_all() -> String {
    std::env::var("MILLRACE_KAFKA__BROKERS").unwrap_or_else(|_| {
        panic!("no broker: run `make test`, or set MILLRACE_KAFKA__BROKERS to a broker's address")
    })
}

/// What an infer process serves, and how.
pub struct Infer<'a> {
    /// The model folder, below the project's folder.
    pub models: &'a str,
    /// Which of its models.
    pub names: &'a [&'a str],
    /// Rows of one batch.
    pub max_rows: usize,
    /// Batches computed at the same time.
    pub engines: usize,
    /// Another way to the brokers than the line's own.
    pub brokers: Option<&'a str>,
    /// TOML at the root of its settings.
    pub settings: &'a str,
}

impl Default for Infer<'_> {
    /// The digits model.
    fn default() -> Self {
        Self {
            models: "models",
            names: &["digits"],
            max_rows: 128,
            engines: 1,
            brokers: None,
            settings: "",
        }
    }
}

/// A path inside the project.
pub fn project_path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(relative)
}
