//! Sends bad messages to a process of its own, again and again, and looks at everything that must not
//! change.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use tokio::runtime::Runtime;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::{MODEL_INFER, PREDICT, call};
use crate::grpc::proto::inference::ModelInferRequest;
use crate::grpc::proto::tensorflow::serving::PredictRequest;
use crate::grpc::{PATIENCE, channel, check_alive, good};
use crate::process::Process;
use crate::scene::{Scene, create_topics, settings};

/// How often a message is repeated to see what it leaves behind.
const REPEATS: usize = 100;
/// Repeats before memory and descriptors are looked at for the first time.
const WARM_UP: usize = 10;
/// What the repeats may add to the process's memory, each time they are looked at.
const MAX_GROWTH_BYTES: u64 = 1 << 20;
/// How often the repeats are looked at: what leaks grows every time.
const LOOKS: usize = 3;
/// What a refusal may take beyond twice the time of a good request of the same size.
const SPARE: Duration = Duration::from_millis(1);
/// The most bytes of a request that its refusal may repeat.
const MAX_ECHO_BYTES: usize = 64;

/// An ingest process, a played infer behind it, and what has gone wrong so far.
pub(super) struct Stage {
    scene: Scene,
    process: Process,
    runtime: Runtime,
    /// The least time of a good request, by size.
    good: BTreeMap<usize, Duration>,
    failures: Vec<String>,
    rows: usize,
}

/// A message and what it must get.
struct Row<'a> {
    path: &'static str,
    message: Bytes,
    code: Code,
    /// A part of the sentence.
    fragment: &'a str,
}

/// What a refusal says in its metadata.
struct Refusal {
    id: String,
    reason: String,
}

impl Row<'_> {
    /// The refusal, if it is the one of the table.
    fn refusal(&self, answer: Result<(), Status>) -> Result<Refusal, String> {
        let Err(status) = answer else {
            return Err("it was answered".to_owned());
        };
        let sentence = status.message();
        if status.code() != self.code || !sentence.contains(self.fragment) {
            return Err(format!("{:?}: {sentence:?}", status.code()));
        }
        if !(1..=512).contains(&sentence.len()) || sentence.contains(char::is_control) {
            return Err(format!("not a sentence: {sentence:?}"));
        }
        check_discreet(sentence, &self.message)?;
        let metadata = |name: &str| {
            let value = status.metadata().get(name);
            let text = value.and_then(|it| it.to_str().ok());
            text.map(str::to_owned)
                .ok_or(format!("no {name}: {status:?}"))
        };
        Ok(Refusal {
            id: metadata("x-request-id")?,
            reason: metadata("mr-reason")?,
        })
    }
}

impl Stage {
    pub(super) fn set() -> Self {
        let prefix = format!("ingest-{:016x}", rand::random::<u64>());
        create_topics(&prefix);
        let process = Process::start(settings(&prefix));
        let mut scene = Scene::around(process.address, prefix);
        scene.grpc = process.grpc;
        scene.serve_all();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self {
            scene,
            process,
            runtime: runtime.enable_all().build().unwrap(),
            good: BTreeMap::new(),
            failures: Vec::new(),
            rows: 0,
        }
    }

    /// The scene, to serve more models in.
    pub(super) fn scene(&self) -> &Scene {
        &self.scene
    }

    /// The refusal of a `ModelInferRequest`.
    #[track_caller]
    pub(super) fn check(&mut self, request: ModelInferRequest, code: Code, fragment: &str) {
        self.check_bytes((MODEL_INFER, request.encode_to_vec()), code, fragment);
    }

    /// The same with the code of what is wrong in itself.
    #[track_caller]
    pub(super) fn invalid(&mut self, request: ModelInferRequest, fragment: &str) {
        self.check(request, Code::InvalidArgument, fragment);
    }

    /// The refusal of a `PredictRequest`.
    #[track_caller]
    pub(super) fn check_predict(&mut self, request: &PredictRequest, code: Code, fragment: &str) {
        self.check_bytes((PREDICT, request.encode_to_vec()), code, fragment);
    }

    /// The refusal of any bytes.
    #[track_caller]
    pub(super) fn check_bytes(
        &mut self,
        (path, message): (&'static str, Vec<u8>),
        code: Code,
        fragment: &str,
    ) {
        let place = std::panic::Location::caller();
        let row = Row {
            path,
            message: message.into(),
            code,
            fragment,
        };
        self.rows += 1;
        if let Err(problem) = self.check_row(&row) {
            self.failures
                .push(format!("{place}: {fragment:?}: {problem}"));
        }
    }

    /// Says everything that has gone wrong.
    pub(super) fn end(self) {
        let Self { failures, rows, .. } = self;
        let list = failures.join("\n");
        assert!(
            failures.is_empty(),
            "{} of {rows} rows:\n{list}",
            failures.len()
        );
    }

    fn check_row(&mut self, row: &Row<'_>) -> Result<(), String> {
        let before = self.process.rejected();
        let channel = self.connect();
        let refusal = row.refusal(self.send(&channel, row))?;
        if self.scene.has_seen(&refusal.id) {
            return Err("a refused request reached Kafka".to_owned());
        }
        check_counted(&refusal.reason, before, &self.process.rejected())?;
        if !self.process.is_running() {
            return Err("the process has ended".to_owned());
        }
        check_alive(self.process.grpc);
        drop(channel);
        self.check_repeats(row)
    }

    fn connect(&self) -> Channel {
        self.runtime.block_on(channel(self.process.grpc))
    }

    fn send(&self, channel: &Channel, row: &Row<'_>) -> Result<(), Status> {
        let called = call(channel.clone(), row.path, row.message.clone());
        let patiently = async { tokio::time::timeout(PATIENCE, called).await.unwrap() };
        self.runtime.block_on(patiently).map(|_| ())
    }

    /// Repeats leave neither memory nor descriptors behind, and none is slow.
    fn check_repeats(&mut self, row: &Row<'_>) -> Result<(), String> {
        let descriptors = self.process.descriptors();
        let channel = self.connect();
        for _ in 0..WARM_UP {
            let _ = self.send(&channel, row);
        }
        let mut grown = u64::MAX;
        for _ in 0..LOOKS {
            let memory = self.process.resident_bytes();
            self.check_times(&channel, row)?;
            grown = grown.min(self.process.resident_bytes().saturating_sub(memory));
            if grown <= MAX_GROWTH_BYTES {
                break;
            }
        }
        if grown > MAX_GROWTH_BYTES {
            return Err(format!("{REPEATS} repeats took {grown} bytes of memory"));
        }
        drop(channel);
        self.wait_for_descriptors(descriptors)
    }

    /// The connection of the repeats was the only thing that they opened.
    fn wait_for_descriptors(&self, before: usize) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while self.process.descriptors() > before {
            if Instant::now() > until {
                let now = self.process.descriptors();
                return Err(format!("{before} descriptors became {now}"));
            }
            // The tasks of a connection end when they are run.
            let pause = async { tokio::time::sleep(Duration::from_millis(5)).await };
            self.runtime.block_on(pause);
        }
        Ok(())
    }

    /// No repeat is slow: the fastest is held against a good request, first against an earlier one.
    fn check_times(&mut self, channel: &Channel, row: &Row<'_>) -> Result<(), String> {
        let mut least = Duration::MAX;
        for _ in 0..REPEATS {
            least = least.min(self.time(channel, row));
        }
        let class = row.message.len().next_power_of_two();
        let known = self.good.get(&class).copied();
        let good = known.unwrap_or_else(|| {
            let times = (0..5).map(|_| self.time_of_good(channel, class));
            times.min().unwrap_or_default()
        });
        self.good.insert(class, good);
        match least > good * 2 + SPARE {
            true => self.check_by_turns(channel, row),
            false => Ok(()),
        }
    }

    /// The row and good requests by turns: what slows the machine down slows both.
    fn check_by_turns(&self, channel: &Channel, row: &Row<'_>) -> Result<(), String> {
        let (mut least, mut good) = (Duration::MAX, Duration::MAX);
        for _ in 0..REPEATS {
            least = least.min(self.time(channel, row));
            good = good.min(self.time_of_good(channel, row.message.len()));
        }
        match least > good * 2 + SPARE {
            true => Err(format!("takes {least:?}, a good request {good:?}")),
            false => Ok(()),
        }
    }

    fn time(&self, channel: &Channel, row: &Row<'_>) -> Duration {
        let began = Instant::now();
        let _ = self.send(channel, row);
        began.elapsed()
    }

    /// The time of one good request of about this size: numbers, then a field that nobody knows.
    fn time_of_good(&self, channel: &Channel, size_bytes: usize) -> Duration {
        let mut message = good().encode_to_vec();
        let padding = size_bytes.next_power_of_two().min(8 << 20);
        prost::encoding::bytes::encode(1000, &vec![0_u8; padding], &mut message);
        let row = Row {
            path: MODEL_INFER,
            message: message.into(),
            code: Code::Ok,
            fragment: "",
        };
        let began = Instant::now();
        let answer = self.send(channel, &row);
        assert!(
            answer.is_ok(),
            "a good request of {padding} bytes: {answer:?}"
        );
        began.elapsed()
    }
}

/// One refusal is counted, under this reason and under no other.
fn check_counted(
    reason: &str,
    mut before: BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> Result<(), String> {
    *before.entry(reason.to_owned()).or_default() += 1;
    match before == *after {
        true => Ok(()),
        false => Err(format!("refusals counted: {after:?}, expected {before:?}")),
    }
}

/// A sentence repeats little of the request.
fn check_discreet(sentence: &str, message: &[u8]) -> Result<(), String> {
    // Where a sentence could repeat more than the start, it would repeat the start as well.
    let message = message.get(..64 << 10).unwrap_or(message);
    for echo in sentence.as_bytes().windows(MAX_ECHO_BYTES + 1) {
        if message.windows(echo.len()).any(|window| window == echo) {
            return Err(format!("more than 64 bytes repeated in {sentence:?}"));
        }
    }
    Ok(())
}
