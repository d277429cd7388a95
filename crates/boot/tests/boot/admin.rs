//! `/live`, `/ready` and `/metrics` over a real socket.

use std::sync::Arc;

use millrace_boot::{AdminError, AdminServer, AdminSettings, Health, write_port_file};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

fn settings() -> AdminSettings {
    AdminSettings {
        listen: "127.0.0.1:0".to_owned(),
        port_file: None,
    }
}

fn get(server: &AdminServer, path: &str) -> (u16, String) {
    let answer = reqwest::blocking::get(format!("http://{}{path}", server.address())).unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

#[test]
fn ready_tells_which_gates_are_closed_and_live_does_not_care() {
    let health = Health::new();
    let gate = health.gate("kafka");
    let server = AdminServer::start(&settings(), health, Arc::default()).unwrap();
    let closed = r#"{"ready":false,"reasons":["kafka: starting"]}"#;
    assert_eq!(get(&server, "/ready"), (503, closed.to_owned()));
    assert_eq!(get(&server, "/live"), (200, r#"{"live":true}"#.to_owned()));
    gate.open();
    assert_eq!(
        get(&server, "/ready"),
        (200, r#"{"ready":true}"#.to_owned())
    );
}

#[test]
fn metrics_are_open_metrics_for_those_who_accept_it_and_classic_for_others() {
    let mut registry = Registry::with_prefix("millrace");
    let records = Counter::<u64>::default();
    registry.register("records", "Records seen", records.clone());
    let server = AdminServer::start(&settings(), Health::new(), Arc::new(registry)).unwrap();
    records.inc_by(3);
    let url = format!("http://{}/metrics", server.address());
    let client = reqwest::blocking::Client::new();
    // As Prometheus asks.
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
    for (accept, kind, family, is_open) in [
        (
            prometheus,
            "application/openmetrics-text",
            "millrace_records",
            true,
        ),
        (
            "*/*",
            "text/plain; version=0.0.4",
            "millrace_records_total",
            false,
        ),
    ] {
        let answer = client.get(&url).header("accept", accept).send().unwrap();
        let found = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(found.starts_with(kind), "{found}");
        let text = answer.text().unwrap();
        assert!(text.contains("millrace_records_total 3\n"), "{text}");
        let declared = format!("# TYPE {family} counter\n");
        assert!(text.contains(&declared), "{text}");
        assert_eq!(text.ends_with("# EOF\n"), is_open, "{text}");
    }
}

#[test]
fn port_file_holds_the_bound_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.port");
    let with_file = AdminSettings {
        port_file: Some(path.clone()),
        ..settings()
    };
    let server = AdminServer::start(&with_file, Health::new(), Arc::default()).unwrap();
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, format!("{}\n", server.address()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn port_file_in_a_missing_folder_is_an_error() {
    let address = "127.0.0.1:1".parse().unwrap();
    assert!(write_port_file("/nowhere/port".as_ref(), address).is_err());
}

#[test]
fn address_in_use_is_an_error_that_names_it_and_the_setting() {
    let first = AdminServer::start(&settings(), Health::new(), Arc::default()).unwrap();
    let same = AdminSettings {
        listen: first.address().to_string(),
        port_file: None,
    };
    let error = AdminServer::start(&same, Health::new(), Arc::default()).unwrap_err();
    assert!(matches!(error, AdminError::Bind { .. }));
    let sentence = error.to_string();
    assert!(
        sentence.contains(&first.address().to_string()),
        "{sentence}"
    );
    assert!(sentence.contains("admin.listen"), "{sentence}");
}

#[test]
fn dropped_server_frees_its_address() {
    let server = AdminServer::start(&settings(), Health::new(), Arc::default()).unwrap();
    let address = server.address();
    drop(server);
    std::net::TcpListener::bind(address).unwrap();
}
