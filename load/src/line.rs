//! A line of topics of its own on the broker, and the services on it; the topics are deleted when it is dropped.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use millrace_kafka::{Admin, Cluster, TopicSpec};
use millrace_openloop::{Connection, Request};

use crate::options::Options;
use crate::process::Process;

/// The model that is served unless another one is named.
pub const MODEL: &str = "ffnn";

/// How infer serves the model of a line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serving {
    /// Threads of the engine, instead of the default.
    pub threads: Option<usize>,
    /// Rows of a batch; measured by infer without it.
    pub max_rows: Option<usize>,
    /// Delivery is exactly once, under a name that the replica keeps.
    pub exactly_once: bool,
}

/// Topics under a prefix that nobody else uses.
pub struct Line {
    /// How to reach the broker.
    pub cluster: Cluster,
    /// For the questions around the data.
    pub admin: Admin,
    prefix: String,
    model: String,
    dir: PathBuf,
    options: Options,
}

/// A running service and its HTTP address.
pub struct Service {
    /// The process.
    pub process: Process,
    /// Where it answers HTTP.
    pub address: SocketAddr,
}

impl Line {
    /// Makes the topics. Those whose records are timed get the broker's time as timestamps.
    ///
    /// # Errors
    /// When the broker or `millrace topics apply` refuses.
    pub fn new(options: &Options, name: &str, dir: &Path) -> anyhow::Result<Self> {
        Self::of_model(options, (name, MODEL), dir)
    }

    /// The same for another model.
    ///
    /// # Errors
    /// When the broker or `millrace topics apply` refuses.
    pub fn of_model(
        options: &Options,
        (name, model): (&str, &str),
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let cluster = Cluster {
            client_id: "millrace-load".to_owned(),
            ..Cluster::at(&options.brokers)
        };
        let admin = Admin::connect(&cluster)?;
        let prefix = format!("bench-{}-{name}", std::process::id());
        let line = Self {
            cluster,
            admin,
            prefix,
            model: model.to_owned(),
            dir: dir.to_owned(),
            options: options.clone(),
        };
        let timed: Vec<TopicSpec> = [line.requests(), line.results()]
            .into_iter()
            .map(|topic| line.timed(topic))
            .collect();
        line.admin
            .create_topics(&timed)
            .context("the topics cannot be created")?;
        line.apply()?;
        Ok(line)
    }

    /// Where infer reads.
    #[must_use]
    pub fn requests(&self) -> String {
        format!("{}.requests.{}", self.prefix, self.model)
    }

    /// Where infer writes.
    #[must_use]
    pub fn results(&self) -> String {
        format!("{}.results.{}", self.prefix, self.model)
    }

    /// Infer's consumer group.
    #[must_use]
    pub fn group(&self) -> String {
        format!("{}.infer.{}", self.prefix, self.model)
    }

    /// A further topic like that of the results.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn echo_topic(&self, name: &str) -> anyhow::Result<String> {
        let topic = format!("{}.echo.{name}", self.prefix);
        self.admin.create_topics(&[self.timed(topic.clone())])?;
        Ok(topic)
    }

    /// Starts the plain loop from the requests to a topic, over `count` records, with so many bytes of each value.
    ///
    /// # Errors
    /// When it is not built.
    pub fn start_echo(&self, to: &str, (count, bytes): (u64, usize)) -> anyhow::Result<Process> {
        let program = self.options.programs.join("examples/echo");
        let arguments = [
            self.options.brokers.clone(),
            self.requests(),
            to.to_owned(),
            count.to_string(),
            bytes.to_string(),
        ];
        Process::start(&program, &arguments, &self.dir.join(format!("{to}.log")))
    }

    /// Starts infer; it is not waited for.
    ///
    /// # Errors
    /// When it is not built.
    pub fn start_infer(&self) -> anyhow::Result<Process> {
        self.start_infer_as(Serving::default())
    }

    /// Starts infer with other settings than the defaults; it is not waited for.
    ///
    /// # Errors
    /// When it is not built.
    pub fn start_infer_as(&self, serving: Serving) -> anyhow::Result<Process> {
        self.start("millrace-infer", "admin", &self.infer_settings(serving)?)
    }

    /// Starts infer and waits until it has its address.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_infer_service(&self) -> anyhow::Result<Service> {
        let process = self.start_infer()?;
        self.listening(process, "millrace-infer")
    }

    /// Starts infer and ingest and waits until both are ready.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn start_services(&self) -> anyhow::Result<[Service; 2]> {
        let infer = self.start_infer()?;
        let ingest = self.start(
            "millrace-ingest",
            "http",
            &format!("{}[grpc]\nlisten = \"\"\n", self.shared_settings("http")),
        )?;
        Ok([
            self.ready(infer, "millrace-infer")?,
            self.ready(ingest, "millrace-ingest")?,
        ])
    }

    /// The settings file of infer, which differ from the defaults only in addresses and paths, and in `serving`.
    ///
    /// # Errors
    /// When a path does not exist.
    pub fn infer_settings(&self, serving: Serving) -> anyhow::Result<String> {
        let models = fs::canonicalize(&self.options.models).context("the folder of models")?;
        let library = fs::canonicalize(&self.options.library).context("ONNX Runtime")?;
        let mut settings = String::new();
        if serving.exactly_once {
            settings.push_str("delivery = \"exactly_once\"\nreplica = \"bench-0\"\n");
        }
        settings += &self.shared_settings("admin");
        if serving.exactly_once {
            settings.push_str("[consumer]\ninstance_id = \"bench-0\"\n");
        }
        writeln!(
            settings,
            "[models]\npath = {:?}\nnames = [{:?}]",
            models.display().to_string(),
            self.model
        )?;
        if let Some(rows) = serving.max_rows {
            writeln!(settings, "[batch]\nmax_rows = {rows}")?;
        }
        writeln!(
            settings,
            "[engine]\nlibrary = {:?}",
            library.display().to_string()
        )?;
        if let Some(threads) = serving.threads {
            writeln!(settings, "threads = {threads}")?;
        }
        writeln!(settings, "{}", self.options.infer_settings)?;
        Ok(settings)
    }

    fn shared_settings(&self, listener: &str) -> String {
        let (brokers, prefix) = (&self.options.brokers, &self.prefix);
        format!(
            "[kafka]\nbrokers = {brokers:?}\n[topics]\nprefix = {prefix:?}\n[{listener}]\nlisten = \"127.0.0.1:0\"\n"
        )
    }

    fn start(&self, program: &str, listener: &str, settings: &str) -> anyhow::Result<Process> {
        let file = self.file(program, "toml");
        fs::write(&file, settings)?;
        let port_file = format!(
            "{listener}.port_file={}",
            self.file(program, "port").display()
        );
        let arguments =
            ["--config", &file.display().to_string(), "--set", &port_file].map(str::to_owned);
        Process::start(
            &self.options.programs.join(program),
            &arguments,
            &self.file(program, "log"),
        )
    }

    fn listening(&self, mut process: Process, program: &str) -> anyhow::Result<Service> {
        let port_file = self.file(program, "port");
        let listening = || fs::read_to_string(&port_file).ok()?.trim().parse().ok();
        let address = process.wait_for("listening", listening)?;
        Ok(Service { process, address })
    }

    fn ready(&self, process: Process, program: &str) -> anyhow::Result<Service> {
        let Service {
            mut process,
            address,
        } = self.listening(process, program)?;
        let mut connection = Connection::new(address);
        let question = Request::get("/ready");
        process.wait_for("readiness", || {
            let is_ready = connection
                .send(&question)
                .is_ok_and(|answer| answer.status == 200);
            is_ready.then_some(())
        })?;
        Ok(Service { process, address })
    }

    fn apply(&self) -> anyhow::Result<()> {
        let mut command = Command::new(self.options.programs.join("millrace"));
        command.args([
            "topics",
            "apply",
            "--brokers",
            &self.options.brokers,
            "--prefix",
            &self.prefix,
        ]);
        let partitions = self.options.plan().partitions.to_string();
        command.args(["--partitions", &partitions, "--model", &self.model]);
        let output = command
            .output()
            .context("the millrace tool does not start; is it built?")?;
        if !output.status.success() {
            bail!(
                "millrace topics apply: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn timed(&self, name: String) -> TopicSpec {
        let config = [
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", "16777216"),
        ];
        let config = config
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        TopicSpec {
            name,
            partitions: self.options.plan().partitions,
            replication: 1,
            config,
        }
    }

    fn file(&self, program: &str, extension: &str) -> PathBuf {
        self.dir
            .join(format!("{}-{program}.{extension}", self.prefix))
    }
}

impl Drop for Line {
    /// Gigabytes of records would otherwise stay in the broker, and in the machine's memory during the next run.
    fn drop(&mut self) {
        let topics = self.admin.topics().unwrap_or_default();
        let mine = format!("{}.", self.prefix);
        let ours: Vec<&str> = topics
            .iter()
            .map(String::as_str)
            .filter(|topic| topic.starts_with(&mine))
            .collect();
        if let Err(error) = self.admin.delete_topics(&ours) {
            crate::say(&format!("topics of {} are left: {error}", self.prefix));
        }
    }
}
