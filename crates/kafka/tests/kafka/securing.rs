//! Every client against a broker that wants TLS and a name: SASL PLAIN,
//! SCRAM-SHA-512, OAUTHBEARER, and client certificates. The broker is one of
//! our own, because the shared one speaks in the clear.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millrace_kafka::{
    Admin, Cluster, Error, Follower, FollowerSettings, GroupSettings, Metrics, Producer,
    ProducerSettings, TopicSpec,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::support::{Collector, PATIENCE, Tickets, eventually, random_name, record};

const PASSWORD: &str = "correct-horse-battery";

/// A broker with two listeners that are not for everybody.
struct SecureBroker {
    files: TempDir,
}

impl SecureBroker {
    fn start() -> Self {
        let broker = Self {
            files: TempDir::new().unwrap(),
        };
        let ca = authority();
        let (certificate, key) = sign(&ca, "127.0.0.1");
        broker.write("broker.pem", &format!("{key}{certificate}"));
        let (certificate, key) = sign(&ca, "client");
        broker.write("client.pem", &certificate);
        broker.write("client.key", &key);
        broker.write("ca.pem", &ca.pem());
        broker.write("stranger.pem", &authority().pem());
        broker.write("password", PASSWORD);
        broker.run(&["start", "--port", "0", "--secure", &broker.text("")]);
        broker
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn run(&self, args: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/broker");
        let mut command = Command::new(script);
        command.args(&args[..1]).arg("--dir").arg(self.path("data"));
        let output = command.args(&args[1..]).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The settings of a client that trusts the broker's authority.
    fn client(&self, listener: &str, options: &[(&str, &str)]) -> Cluster {
        let mut cluster = Cluster::at(self.run(&["address", listener]));
        let ca = self.text("ca.pem");
        let common = [("ssl.ca.location", ca.as_str())];
        for (key, value) in common.iter().chain(options) {
            cluster
                .options
                .insert((*key).to_owned(), (*value).to_owned());
        }
        cluster
    }

    fn sasl(&self, mechanism: &str) -> Cluster {
        let options = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", "millrace"),
        ];
        let mut cluster = self.client("SASL", &options);
        let password = self.path("password");
        cluster
            .option_files
            .insert("sasl.password".to_owned(), password);
        cluster
    }

    fn mutual(&self) -> Cluster {
        let (certificate, key) = (self.text("client.pem"), self.text("client.key"));
        let options = [
            ("security.protocol", "ssl"),
            ("ssl.certificate.location", certificate.as_str()),
            ("ssl.key.location", key.as_str()),
        ];
        self.client("MUTUAL", &options)
    }
}

impl Drop for SecureBroker {
    fn drop(&mut self) {
        self.run(&["stop"]);
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate for self-signed whose names are both the same.
    params
        .distinguished_name
        .push(DnType::CommonName, "authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, in PEM.
fn sign(ca: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    (
        params.signed_by(&key, ca).unwrap().pem(),
        key.serialize_pem(),
    )
}

/// Creates a topic, writes to it, follows it and consumes it in a group: all
/// that ingest, infer, sink and the tool ever do.
#[track_caller]
fn check_all_clients(cluster: &Cluster) {
    let admin = Admin::connect(cluster).unwrap();
    admin.wait_for_broker(PATIENCE).unwrap();
    let topic = random_name("secure");
    let spec = TopicSpec {
        name: topic.clone(),
        partitions: 1,
        replication: 1,
        config: [].into(),
    };
    admin.create_topics(&[spec]).unwrap();
    let settings = ProducerSettings {
        cluster: cluster.clone(),
        ..ProducerSettings::default()
    };
    let producer = Producer::start(&settings, &Metrics::default()).unwrap();
    let written = record(&topic, 0, "hello");
    producer
        .send(written, |outcome| assert!(outcome.is_ok()))
        .unwrap();
    producer.stop(PATIENCE).unwrap();
    let settings = FollowerSettings::whole_topic(cluster.clone(), &topic);
    let (sender, received) = std::sync::mpsc::channel();
    let keep = move |record: millrace_kafka::Record| drop(sender.send(record.value));
    let follower = Follower::start(settings, keep, &Metrics::default()).unwrap();
    follower.wait_caught_up(PATIENCE).unwrap();
    assert_eq!(
        received.recv().unwrap().as_deref(),
        Some(b"hello".as_slice())
    );
    let settings = GroupSettings {
        cluster: cluster.clone(),
        group: random_name("group"),
        topics: vec![topic],
        ..GroupSettings::default()
    };
    let (consumer, seen) = Collector::start(settings, Tickets::Finish);
    eventually("the record in the group", || seen.count() == 1);
    consumer.stop(PATIENCE).unwrap();
}

/// The broker must not be reached this way; what is said names the way out and no secret.
#[track_caller]
fn check_refused(cluster: &Cluster) {
    let admin = Admin::connect(cluster).unwrap();
    let error = admin.wait_for_broker(Duration::from_secs(3)).unwrap_err();
    assert!(
        matches!(error, Error::TimedOut { .. } | Error::Kafka { .. }),
        "{error}"
    );
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(
            !shown.contains(PASSWORD) && !shown.contains("wrong-password"),
            "{shown}"
        );
    }
}

/// A token that nobody signed: librdkafka makes it, and the broker is told to believe it.
fn with_token(broker: &SecureBroker) -> Cluster {
    let options = [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        (
            "sasl.oauthbearer.config",
            "principal=millrace lifeSeconds=60",
        ),
    ];
    broker.client("SASL", &options)
}

fn with_wrong_password(broker: &SecureBroker, mechanism: &str) -> Cluster {
    let mut cluster = broker.sasl(mechanism);
    cluster.option_files.clear();
    let wrong = ("sasl.password".to_owned(), "wrong-password".to_owned());
    cluster.options.extend([wrong]);
    cluster
}

fn without_certificate(broker: &SecureBroker) -> Cluster {
    let mut cluster = broker.mutual();
    cluster.options.remove("ssl.certificate.location");
    cluster.options.remove("ssl.key.location");
    cluster
}

fn that_trusts_another_authority(broker: &SecureBroker) -> Cluster {
    let mut cluster = broker.sasl("PLAIN");
    let other = ("ssl.ca.location".to_owned(), broker.text("stranger.pem"));
    cluster.options.extend([other]);
    cluster
}

#[test]
fn every_client_speaks_tls_and_every_mechanism() {
    let broker = SecureBroker::start();
    let good = [
        broker.sasl("SCRAM-SHA-512"),
        broker.sasl("PLAIN"),
        broker.mutual(),
        with_token(&broker),
    ];
    let bad = [
        with_wrong_password(&broker, "SCRAM-SHA-512"),
        with_wrong_password(&broker, "PLAIN"),
        without_certificate(&broker),
        that_trusts_another_authority(&broker),
        Cluster::at(broker.run(&["address", "SASL"])),
    ];
    std::thread::scope(|scope| {
        for cluster in &good {
            scope.spawn(|| check_all_clients(cluster));
        }
        for cluster in &bad {
            scope.spawn(|| check_refused(cluster));
        }
    });
}
