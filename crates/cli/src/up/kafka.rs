//! The broker: one that is named, or one of our own from a folder of Apache Kafka.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use millrace_kafka::{Admin, Cluster};

use crate::connection::ConnectionArgs;
use crate::exit::Exit;

use super::Line;
use super::layout::Layout;
use super::ports;
use super::process::{Process, Service, say};

/// How long a broker may take to answer, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a broker that runs already may take.
const GLANCE: Duration = Duration::from_secs(3);
const HEAP: [&str; 3] = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC"];

/// Answers the address of the broker that was started, `None` for one that is there.
///
/// # Errors
/// There is none, and none can be started.
pub(super) fn find_or_start(
    home: Option<&Path>,
    connection: &ConnectionArgs,
    (line, layout): (&mut Line, &Layout),
) -> anyhow::Result<Option<String>> {
    let (cluster, _) = connection.cluster()?;
    if connection.names_brokers()? {
        return Ok(None);
    }
    let Some(home) = home else {
        if answers(&cluster, GLANCE) {
            say("up", &format!("using the Kafka at {}", cluster.brokers));
            return Ok(None);
        }
        return Err(Exit::Unreachable.error(format!(
            "no Kafka answers at {}; name one with --brokers, or a folder of Apache Kafka with \
             --kafka or KAFKA_HOME (https://kafka.apache.org/downloads; it needs Java)",
            cluster.brokers
        )));
    };
    start(home, line, layout).map(Some)
}

fn answers(cluster: &Cluster, patience: Duration) -> bool {
    Admin::connect(cluster).is_ok_and(|admin| admin.wait_for_broker(patience).is_ok())
}

fn start(home: &Path, line: &mut Line, layout: &Layout) -> anyhow::Result<String> {
    let class_path = format!("{}/*", libraries(home)?.display());
    let properties = layout.kafka.join("server.properties");
    let data = layout.kafka.join("data");
    let free = ports::free(2)?;
    let (address, controller) = (free[0], free[1]);
    std::fs::write(&properties, text(&data, address, controller))
        .with_context(|| format!("cannot write {}", properties.display()))?;
    if !data.join("meta.properties").exists() {
        format(&class_path, &properties)?;
    }
    let mut arguments: Vec<String> = HEAP.iter().map(|&it| it.to_owned()).collect();
    arguments.extend(["-cp".to_owned(), class_path, "kafka.Kafka".to_owned()]);
    arguments.push(properties.display().to_string());
    let service = Service {
        name: "kafka",
        arguments,
        port_file: None,
        stop_order: usize::MAX,
        is_shown: false,
    };
    let process = Process::start(Path::new("java"), &service, &line.guard)?;
    line.processes.push(process);
    let brokers = format!("127.0.0.1:{address}");
    say(
        "up",
        &format!("starting Kafka from {} at {brokers}", home.display()),
    );
    let cluster = Cluster::at(&brokers);
    line.wait_for(("kafka: answering", PATIENCE), |_| {
        answers(&cluster, Duration::from_millis(500)).then_some(())
    })?;
    Ok(brokers)
}

fn libraries(home: &Path) -> anyhow::Result<PathBuf> {
    let libraries = home.join("libs");
    if !libraries.is_dir() {
        return Err(Exit::Missing.error(format!(
            "{} is no folder of Apache Kafka: it has no libs; unpack one from \
             https://kafka.apache.org/downloads and name it with --kafka",
            home.display()
        )));
    }
    Ok(libraries.canonicalize()?)
}

/// New storage under an id of its own.
fn format(class_path: &str, properties: &Path) -> anyhow::Result<()> {
    use base64::Engine;
    let id = rand::random::<[u8; 16]>();
    let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id);
    // A leading minus sign would be taken for a flag.
    let id = id.replacen('-', "m", 1);
    let answer = Command::new("java")
        .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .args(["-cp", class_path, "kafka.tools.StorageTool", "format"])
        .args(["--standalone", "--ignore-formatted", "-t", &id, "-c"])
        .arg(properties)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Exit::Missing.error(format!(
                "java does not start ({error}); Kafka needs Java 17 or newer: apt install \
                 default-jre-headless, or name a broker with --brokers"
            ))
        })?;
    if !answer.status.success() {
        let said = [&answer.stdout[..], &answer.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        anyhow::bail!("Kafka's storage cannot be formatted: {said}");
    }
    Ok(())
}

/// One node: one replica of everything, few threads and internal partitions.
fn text(data: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
",
        data.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_kafka_is_refused_with_what_to_do() {
        let folder = tempfile::TempDir::new().unwrap();
        let error = libraries(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("no libs") && error.contains("--kafka"),
            "{error}"
        );
    }
}
