//! `millrace up` runs a whole line and leaves nobody behind, however it ends; `millrace bench`, `status` and `check` on it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and unwrap says where"
)]

use std::fs;
use std::io::{BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use e2e::{PATIENCE, binary_path, project_path, tool, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// The tool, the folder of its data, and what it said when all was ready.
struct Up {
    child: Child,
    data: TempDir,
    ready: Value,
}

impl Up {
    fn start() -> Self {
        let data = TempDir::new().unwrap();
        let models = data.path().join("models");
        // A copy: a link that leaves the repository is refused.
        let version = models.join("digits/1");
        fs::create_dir_all(&version).unwrap();
        let model = project_path("models/digits/1/model.onnx");
        fs::copy(model, version.join("model.onnx")).unwrap();
        let prefix = format!("up-{}", uuid::Uuid::new_v4().simple());
        let log = fs::File::create(data.path().join("up.log")).unwrap();
        let mut child = Command::new(binary_path("millrace"))
            .args(["up", "--json", "--port", "0", "--grpc-port", "0"])
            .args(["--brokers", &brokers(), "--prefix", &prefix])
            .arg("--models")
            .arg(&models)
            .arg("--data")
            .arg(data.path().join("data"))
            .arg("--library")
            .arg(project_path(".native/onnxruntime/libonnxruntime.so"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        // It says one thing, when all is ready, and nothing if it does not come to that.
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut said = serde_json::Deserializer::from_reader(out).into_iter();
        let ready = said
            .next()
            .unwrap_or_else(|| panic!("{}", log_of(data.path())));
        Self {
            child,
            ready: ready.unwrap(),
            data,
        }
    }

    fn text(&self, key: &str) -> String {
        self.ready[key].as_str().unwrap().to_owned()
    }

    /// Processes that were started with settings in our folder.
    fn services(&self) -> Vec<u32> {
        let ours = self.data.path().join("data").display().to_string();
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            if pid != self.child.id() && command.contains(&ours) {
                pids.push(pid);
            }
        }
        pids
    }

    fn signal(&self, pid: u32, name: &str) {
        let script = format!("kill -{name} {pid}");
        assert!(
            Command::new("/bin/sh")
                .args(["-c", &script])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for its end; its exit code, and its log.
    fn ended(mut self) -> (Option<i32>, String) {
        let what = "the tool and its services to end";
        let status = wait_for(PATIENCE, what, || self.child.try_wait().unwrap());
        wait_for(PATIENCE, what, || self.services().is_empty().then_some(()));
        let http = self.text("http");
        assert!(TcpStream::connect(http).is_err(), "somebody still listens");
        (status.code(), log_of(self.data.path()))
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn brokers() -> String {
    std::env::var("MILLRACE_KAFKA__BROKERS").expect("a broker: run `make test`, or name one")
}

fn log_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("up.log")).unwrap_or_default()
}

#[test]
fn a_line_is_up_answers_and_stops_in_order() {
    let up = Up::start();
    assert_eq!(up.services().len(), 3);
    let (brokers, prefix) = (up.text("brokers"), up.text("prefix"));
    let on_it = ["--brokers", &brokers, "--prefix", &prefix, "--json"];
    let ask = |arguments: &[&str]| -> Value {
        serde_json::from_str(&tool(&[arguments, &on_it].concat())).unwrap()
    };
    let url = format!("http://{}", up.text("http"));
    let load = [
        "--model",
        "digits",
        "--rate",
        "50",
        "--for",
        "2s",
        "--warm-up",
        "0s",
    ];
    let http = ask(&[&["bench", "--url", &url], &load[..]].concat());
    assert_eq!(http["latency"]["count"], 100, "{http}");
    let kafka = ask(&[&["bench", "--over", "kafka"], &load[..]].concat());
    assert_eq!(kafka["errors"], 0, "{kafka}");
    let status = ask(&["status"]);
    assert_eq!(
        status["models"][0]["served"]["state"], "AVAILABLE",
        "{status}"
    );
    let checked = ask(&["check"]);
    let is_served = |it: &Value| it["finding"] == "digits is served";
    assert!(
        checked.as_array().unwrap().iter().any(is_served),
        "{checked}"
    );
    let results = up.data.path().join("data/results/digits");
    wait_for(PATIENCE, "a file of results", || {
        fs::read_dir(&results).ok()?.flatten().next()
    });
    up.signal(up.child.id(), "INT");
    let (code, log) = up.ended();
    assert_eq!(code, Some(0), "{log}");
    let place = |name: &str| log.find(&format!("{name:<6} | stopping")).expect(&log);
    assert!(
        place("ingest") < place("infer") && place("infer") < place("sink"),
        "{log}"
    );
}

#[test]
fn when_one_dies_all_stop_and_it_is_told_why() {
    let up = Up::start();
    let infer = *up.services().iter().find(|pid| is_infer(**pid)).unwrap();
    up.signal(infer, "KILL");
    let (code, log) = up.ended();
    assert_eq!(code, Some(6), "{log}");
    let words = r#"{"error":"infer ended with signal: 9"#;
    assert!(log.contains(words), "{log}");
}

#[test]
fn nobody_is_left_behind_when_it_is_killed() {
    let mut up = Up::start();
    assert_eq!(up.services().len(), 3);
    up.child.kill().unwrap();
    let (code, _) = up.ended();
    assert_eq!(code, None);
}

#[test]
fn without_a_broker_and_without_kafka_it_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let output = Command::new(binary_path("millrace"))
        .args(["up", "--port", "0", "--grpc-port", "0", "--models"])
        .arg(project_path("models"))
        .arg("--data")
        .arg(folder.path())
        .args(["--kafka", "/nowhere"])
        .env_remove("MILLRACE_KAFKA__BROKERS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("no folder of Apache Kafka"), "{said}");
}

#[test]
fn a_kafka_of_its_own_is_started_and_stopped() {
    let kafka = fs::read_dir(project_path(".native"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join("libs").is_dir() && path.display().to_string().contains("kafka-"))
        .expect("make setup installs Kafka");
    let data = TempDir::new().unwrap();
    let mut child = Command::new(binary_path("millrace"))
        .args(["up", "--json", "--port", "0", "--grpc-port", "0", "--kafka"])
        .arg(kafka)
        .arg("--models")
        .arg(project_path("models"))
        .arg("--data")
        .arg(data.path().join("data"))
        .arg("--library")
        .arg(project_path(".native/onnxruntime/libonnxruntime.so"))
        .env_remove("MILLRACE_KAFKA__BROKERS")
        .stdout(Stdio::piped())
        .stderr(fs::File::create(data.path().join("up.log")).unwrap())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut said = serde_json::Deserializer::from_reader(out.take(1 << 20)).into_iter();
    let ready = said
        .next()
        .unwrap_or_else(|| panic!("{}", log_of(data.path())));
    let up = Up {
        child,
        ready: ready.unwrap(),
        data,
    };
    let listed = tool(&["models", "list", "--brokers", &up.text("brokers")]);
    assert!(
        listed.contains("digits") && listed.contains("everything"),
        "{listed}"
    );
    up.signal(up.child.id(), "TERM");
    let (code, log) = up.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("kafka  | stopping"), "{log}");
}

fn is_infer(pid: u32) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains("millrace-infer")
}
