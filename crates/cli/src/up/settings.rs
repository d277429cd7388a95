//! The settings files of the services, as a beginning for files of one's own.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use millrace_kafka::Cluster;
use toml::{Table, Value};

use super::layout::Layout;
use super::ports::Ports;
use super::process::Service;

/// What the services are to do.
pub(super) struct Plan<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) prefix: &'a str,
    pub(super) models: &'a [String],
    pub(super) models_path: &'a Path,
    pub(super) library: Option<&'a Path>,
    pub(super) ports: Ports,
}

/// The services in the order of their start, each with its file written.
pub(super) fn services(plan: &Plan<'_>, layout: &Layout) -> anyhow::Result<Vec<Service>> {
    let listens = ["admin", "admin", "http"];
    let settings = [infer(plan)?, sink(plan, layout)?, ingest(plan)?];
    let mut services = Vec::new();
    let names = super::programs::SERVICES;
    for ((name, listen), (stop_order, own)) in names
        .into_iter()
        .zip(listens)
        .zip([1, 2, 0].into_iter().zip(settings))
    {
        let file = layout.settings.join(format!("{name}.toml"));
        let port_file = layout.settings.join(format!("{name}.port"));
        write(&file, &text(plan, own)?)?;
        // Flags go before the environment, in which a broker may be named as well.
        let set = [
            format!("kafka.brokers={}", plan.cluster.brokers),
            format!("topics.prefix={}", plan.prefix),
            format!("{listen}.port_file={}", port_file.display()),
        ];
        let mut arguments = vec!["--config".to_owned(), file.display().to_string()];
        for assignment in set {
            arguments.extend(["--set".to_owned(), assignment]);
        }
        services.push(Service {
            name,
            arguments,
            port_file: Some(port_file),
            stop_order,
            is_shown: true,
        });
    }
    Ok(services)
}

fn text(plan: &Plan<'_>, own: Table) -> anyhow::Result<String> {
    let mut all = Table::new();
    all.insert("kafka".to_owned(), Value::try_from(plan.cluster)?);
    all.insert("topics".to_owned(), table([("prefix", plan.prefix.into())]));
    all.extend(own);
    Ok(toml::to_string(&all)?)
}

fn infer(plan: &Plan<'_>) -> anyhow::Result<Table> {
    let models = plan.models_path.canonicalize()?;
    let names: Vec<Value> = plan.models.iter().map(|it| it.as_str().into()).collect();
    let mut own = vec![
        (
            "models",
            table([("path", path(&models)), ("names", names.into())]),
        ),
        ("admin", table([("listen", "127.0.0.1:0".into())])),
    ];
    if let Some(library) = plan.library {
        let library = library
            .canonicalize()
            .with_context(|| format!("there is no {}; see --library", library.display()))?;
        own.push(("engine", table([("library", path(&library))])));
    }
    Ok(entries(own))
}

fn sink(plan: &Plan<'_>, layout: &Layout) -> anyhow::Result<Table> {
    let pipeline = |model: &String| {
        let folder = layout.results.join(model);
        let destination = table([("type", "files".into()), ("url", path(&folder))]);
        table([
            ("name", model.as_str().into()),
            ("models", vec![Value::from(model.as_str())].into()),
            ("destination", destination),
            // Soon enough to be looked at.
            ("roll", table([("age", "5s".into())])),
        ])
    };
    let pipelines: Vec<Value> = plan.models.iter().map(pipeline).collect();
    Ok(entries(vec![
        ("pipelines", pipelines.into()),
        ("admin", table([("listen", "127.0.0.1:0".into())])),
    ]))
}

fn ingest(plan: &Plan<'_>) -> anyhow::Result<Table> {
    let listen = |port: u16| table([("listen", format!("127.0.0.1:{port}").into())]);
    let mut own = vec![
        ("http", listen(plan.ports.http)),
        ("grpc", listen(plan.ports.grpc)),
    ];
    if let [only] = plan.models {
        own.push(("default_model", only.as_str().into()));
    }
    Ok(entries(own))
}

fn path(path: &Path) -> Value {
    path.display().to_string().into()
}

fn table<const N: usize>(items: [(&str, Value); N]) -> Value {
    Value::Table(entries(items.into()))
}

fn entries(items: Vec<(&str, Value)>) -> Table {
    items
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Readable for us alone: passwords may stand in it.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file);
    let written = opened.and_then(|mut open| open.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_gets_its_own_file_and_flags_that_win() {
        let folder = tempfile::TempDir::new().unwrap();
        let layout = Layout::make(folder.path()).unwrap();
        let cluster = Cluster::at("127.0.0.1:19");
        let models = ["digits".to_owned()];
        let plan = Plan {
            cluster: &cluster,
            prefix: "mill",
            models: &models,
            models_path: folder.path(),
            library: None,
            ports: Ports { http: 8, grpc: 9 },
        };
        let services = services(&plan, &layout).unwrap();
        let names: Vec<&str> = services.iter().map(|it| it.name).collect();
        assert_eq!(names, ["infer", "sink", "ingest"]);
        let read = |name: &str| -> Table {
            let file = layout.settings.join(format!("{name}.toml"));
            std::fs::read_to_string(file).unwrap().parse().unwrap()
        };
        assert_eq!(
            read("ingest")["http"]["listen"].as_str(),
            Some("127.0.0.1:8")
        );
        assert_eq!(read("ingest")["default_model"].as_str(), Some("digits"));
        assert_eq!(
            read("sink")["pipelines"][0]["name"].as_str(),
            Some("digits")
        );
        assert_eq!(read("infer")["topics"]["prefix"].as_str(), Some("mill"));
        let brokers = "kafka.brokers=127.0.0.1:19".to_owned();
        assert!(services.iter().all(|it| it.arguments.contains(&brokers)));
        // Who takes requests stops first.
        let first = services.iter().min_by_key(|it| it.stop_order).unwrap();
        assert_eq!(first.name, "ingest");
    }
}
