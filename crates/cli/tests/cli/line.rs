//! A line of topics of one test alone, on the broker that `MILLRACE_KAFKA__BROKERS` names.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use millrace_kafka::{
    Cluster, Follower, FollowerSettings, Headers, Metrics, OutRecord, Producer, ProducerSettings,
    Record,
};
use serde_json::Value;

use crate::program::millrace;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Line {
    brokers: String,
    prefix: String,
}

/// What the program answered.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Line {
    /// Its topics are those that every line has, and those of these models.
    pub(crate) fn new(models: &[&str]) -> Self {
        let brokers = std::env::var("MILLRACE_KAFKA__BROKERS").expect(
            "these tests need a Kafka broker: set MILLRACE_KAFKA__BROKERS=host:port, \
             or run them through scripts/with-broker",
        );
        let line = Self {
            brokers,
            prefix: format!("cli-{:016x}", rand::random::<u64>()),
        };
        let mut arguments = vec!["topics", "apply"];
        for model in models {
            arguments.extend(["--model", model]);
        }
        line.run(&arguments).good();
        line
    }

    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Runs the program on this line, with nobody to ask.
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        let mut command = millrace(arguments);
        command.args(["--brokers", &self.brokers, "--prefix", &self.prefix]);
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        Answer {
            code: output.status.code(),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What it answers as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        serde_json::from_slice(&self.run(&arguments).good().out).unwrap()
    }

    /// Writes records and waits until the broker has them.
    pub(crate) fn write(&self, topic: &str, records: Vec<OutRecord>) {
        let settings = ProducerSettings {
            cluster: Cluster::at(&self.brokers),
            ..ProducerSettings::default()
        };
        let producer = Producer::start(&settings, &Metrics::default()).unwrap();
        let topic: Arc<str> = self.topic(topic).into();
        for record in records {
            let record = OutRecord {
                topic: Arc::clone(&topic),
                ..record
            };
            producer
                .send_blocking(
                    record,
                    |delivery| {
                        delivery.unwrap();
                    },
                    PATIENCE,
                )
                .unwrap();
        }
        producer.stop(PATIENCE).unwrap();
    }

    /// All records of a topic.
    pub(crate) fn read(&self, topic: &str) -> Vec<Record> {
        let (sender, records) = mpsc::channel();
        let settings = FollowerSettings::whole_topic(Cluster::at(&self.brokers), self.topic(topic));
        let take = move |record| sender.send(record).unwrap();
        let follower = Follower::start(settings, take, &Metrics::default()).unwrap();
        follower.wait_caught_up(PATIENCE).unwrap();
        follower.stop(PATIENCE).unwrap();
        records.into_iter().collect()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.text(), self.err);
        self
    }

    /// It ended with this code, and said this.
    pub(crate) fn refused(self, code: i32, part: &str) -> Self {
        let said = format!("{}{}", self.text(), self.err);
        assert_eq!(self.code, Some(code), "{said}");
        assert!(said.contains(part), "{part} is missing in: {said}");
        self
    }
}

/// A record for partition 0 of whatever topic it is written to.
pub(crate) fn record(value: Option<Vec<u8>>) -> OutRecord {
    OutRecord {
        topic: "".into(),
        partition: Some(0),
        key: None,
        value,
        headers: Headers::new(),
    }
}
