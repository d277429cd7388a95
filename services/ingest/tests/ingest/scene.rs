//! A stage for one or many tests: topics of their own on the real broker, a
//! real ingest on a free port, and a thread that plays infer.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millrace_boot::Shutdown;
use millrace_ingest::{App, Settings};
use millrace_kafka::{
    Admin, Cluster, Follower, FollowerSettings, Headers, Metrics, OutRecord, Producer,
    ProducerSettings, Record, TopicSpec,
};
use millrace_wire::avro::ModelDescriptor;

use super::client::{Answer, get, post};
use super::played::{Asked, Input, descriptor, echo};

/// The body limit of every scene.
pub(crate) const BODY_LIMIT: usize = 10 << 20;
/// How long a silent caller is waited for in every scene.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long anything may take that should be quick.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each model of the shared scene.
pub(crate) const MODELS: [(&str, &[Input]); 9] = [
    ("m", &[("x", "FP32", &[-1, 4])]),
    ("m2", &[("a", "FP32", &[-1]), ("b", "INT32", &[-1])]),
    ("i", &[("i", "INT32", &[-1, 2])]),
    ("i64", &[("i64", "INT64", &[-1])]),
    ("u8", &[("u8", "UINT8", &[-1, 2])]),
    ("s", &[("s", "STRING", &[-1])]),
    ("u64", &[("u64", "UINT64", &[-1])]),
    ("d", &[("d", "FP64", &[-1])]),
    ("b", &[("b", "BYTES", &[-1])]),
];

/// The scene for tests that change nothing: all models of the list above.
pub(crate) fn shared() -> &'static Scene {
    static SHARED: LazyLock<Scene> = LazyLock::new(|| {
        let scene = Scene::start(|_| {});
        scene.serve_all();
        scene
    });
    &SHARED
}

/// The scene for tests that change nothing and fetch results later: model `m`.
pub(crate) fn shared_results() -> &'static Scene {
    static SHARED: LazyLock<Scene> =
        LazyLock::new(|| super::later::recorded(|_| {}, super::played::echo_and_record));
    &SHARED
}

/// A running ingest with topics of its own.
pub(crate) struct Scene {
    pub(crate) address: SocketAddr,
    /// Port 0 where ingest is a process whose gRPC nobody asks.
    pub(crate) grpc: SocketAddr,
    pub(crate) prefix: String,
    pub(crate) shutdown: Shutdown,
    pub(crate) producer: Producer,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    seen: Arc<Mutex<HashSet<String>>>,
}

impl Scene {
    /// Starts ingest with settings changed by the test, and no model.
    pub(crate) fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let prefix = format!("ingest-{:016x}", rand::random::<u64>());
        create_topics(&prefix);
        Self::start_at(prefix, change)
    }

    /// The same with a prefix whose topics are the test's business.
    pub(crate) fn start_at(prefix: String, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings(&prefix);
        change(&mut settings);
        let app = App::build(settings).unwrap();
        let address = app.address();
        let grpc = app.grpc_address().unwrap();
        let shutdown = Shutdown::by_hand();
        let stop = shutdown.clone();
        let run = move || actix_web::rt::System::new().block_on(app.run_until_stopped(stop));
        let scene = Self::around(address, prefix);
        Self {
            grpc,
            shutdown,
            thread: Some(std::thread::spawn(run)),
            ..scene
        }
    }

    /// A stage around an ingest that runs already, with topics of this prefix.
    pub(crate) fn around(address: SocketAddr, prefix: String) -> Self {
        let producer = ProducerSettings {
            cluster: cluster(),
            ..ProducerSettings::default()
        };
        Self {
            address,
            grpc: ([127, 0, 0, 1], 0).into(),
            prefix,
            shutdown: Shutdown::by_hand(),
            producer: Producer::start(&producer, &Metrics::default()).unwrap(),
            thread: None,
            seen: Arc::default(),
        }
    }

    /// Plays an infer that serves every model of the list, and waits until ingest knows them.
    pub(crate) fn serve_all(&self) {
        for (model, inputs) in MODELS {
            self.serve(&descriptor(model, inputs), echo);
        }
        self.wait_ready();
        for (model, _) in MODELS {
            self.wait_answer(&format!("/v1/models/{model}"), |answer| {
                answer.status == 200
            });
        }
    }

    /// Plays an infer that serves a model: publishes its descriptor and
    /// answers its requests with the records that `reply` makes of them.
    pub(crate) fn serve(
        &self,
        descriptor: &ModelDescriptor,
        reply: impl Fn(&Asked) -> Vec<OutRecord> + Send + 'static,
    ) {
        let topic = format!("{}.requests.{}", self.prefix, descriptor.model);
        create(&[topic_spec(&topic, "delete")]);
        let (producer, seen) = (self.producer.clone(), Arc::clone(&self.seen));
        let on_record = move |record: Record| {
            let asked = Asked::of(record);
            seen.lock()
                .unwrap()
                .insert(asked.headers.id.clone().unwrap());
            for answer in reply(&asked) {
                producer.send(answer, |_| {}).unwrap();
            }
        };
        let follow = FollowerSettings::whole_topic(cluster(), topic);
        let follower = Follower::start(follow, on_record, &Metrics::default()).unwrap();
        follower.wait_caught_up(PATIENCE).unwrap();
        // It plays until the process of the tests ends.
        std::mem::forget(follower);
        self.publish(descriptor);
    }

    /// Writes a descriptor to the models topic.
    pub(crate) fn publish(&self, descriptor: &ModelDescriptor) {
        self.publish_raw(&descriptor.key(), Some(descriptor.encode().unwrap()));
    }

    /// Writes anything to the models topic.
    pub(crate) fn publish_raw(&self, key: &str, value: Option<Vec<u8>>) {
        let record = OutRecord {
            topic: format!("{}.models", self.prefix).into(),
            partition: None,
            key: Some(key.as_bytes().to_vec()),
            value,
            headers: Headers::new(),
        };
        self.producer
            .send(record, |outcome| assert!(outcome.is_ok()))
            .unwrap();
    }

    /// Whether a played infer has received the request that got this answer.
    pub(crate) fn has_reached_infer(&self, answer: &Answer) -> bool {
        self.has_seen(answer.header("x-request-id").unwrap())
    }

    /// Whether a played infer has received the request with this id.
    pub(crate) fn has_seen(&self, id: &str) -> bool {
        self.seen.lock().unwrap().contains(id)
    }

    /// A good request is answered right.
    #[track_caller]
    pub(crate) fn check_alive(&self) {
        let answer = post(
            self.address,
            "/v1/models/m:predict",
            r#"{"instances": [[1,2,3,4]]}"#,
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.json(),
            serde_json::json!({"predictions": [[1.0, 2.0, 3.0, 4.0]]})
        );
    }

    #[track_caller]
    pub(crate) fn wait_ready(&self) {
        self.wait_answer("/ready", |answer| answer.status == 200);
    }

    /// Asks again and again until the answer is as it should be.
    #[track_caller]
    pub(crate) fn wait_answer(&self, path: &str, is_right: impl Fn(&Answer) -> bool) -> Answer {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = get(self.address, path);
            if is_right(&answer) {
                return answer;
            }
            assert!(
                Instant::now() < until,
                "{path} still answers {}",
                answer.text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The value of a metric line that begins with `name`; 0 where there is none.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = get(self.address, "/metrics").text();
        let line = text.lines().find(|line| line.starts_with(name));
        line.map_or(0.0, |line| {
            line.rsplit(' ').next().unwrap().parse().unwrap()
        })
    }

    /// Stops ingest and waits until it has ended.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.shutdown.trigger();
        self.thread.take().unwrap().join().unwrap()
    }
}

/// The settings of every scene.
pub(crate) fn settings(prefix: &str) -> Settings {
    let mut settings = Settings {
        kafka: cluster(),
        ..Settings::default()
    };
    prefix.clone_into(&mut settings.topics.prefix);
    settings.http.listen = "127.0.0.1:0".to_owned();
    settings.http.workers = 2;
    settings.grpc.listen = "127.0.0.1:0".to_owned();
    settings.http.read_timeout = READ_TIMEOUT;
    settings.limits.body_bytes = BODY_LIMIT;
    settings
}

/// The broker that the tests run against.
pub(crate) fn cluster() -> Cluster {
    let brokers = std::env::var("MILLRACE_KAFKA__BROKERS").unwrap_or_else(|_| {
        panic!("MILLRACE_KAFKA__BROKERS is not set: these tests need a Kafka broker, such as 127.0.0.1:9092")
    });
    Cluster::at(brokers)
}

pub(crate) fn create_topics(prefix: &str) {
    create_topics_without_control(prefix);
    create(&[topic_spec(&format!("{prefix}.control"), "compact")]);
}

/// The topics of a line that was set up before models could be controlled.
pub(crate) fn create_topics_without_control(prefix: &str) {
    create(&[
        topic_spec(&format!("{prefix}.replies"), "delete"),
        topic_spec(&format!("{prefix}.models"), "compact"),
    ]);
}

/// Creates what a model needs whose results are fetched later.
pub(crate) fn create_result_topics(prefix: &str, model: &str) {
    create(&[
        topic_spec(&format!("{prefix}.results.{model}"), "delete"),
        topic_spec(&format!("{prefix}.idempotency"), "delete"),
    ]);
}

fn topic_spec(name: &str, cleanup: &str) -> TopicSpec {
    let config = [
        ("cleanup.policy", cleanup),
        ("max.message.bytes", "16777216"),
    ];
    TopicSpec {
        name: name.to_owned(),
        partitions: 2,
        replication: 1,
        config: config
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}

fn create(topics: &[TopicSpec]) {
    let admin = Admin::connect(&cluster()).unwrap();
    admin.wait_for_broker(PATIENCE).unwrap();
    admin.create_topics(topics).unwrap();
}
