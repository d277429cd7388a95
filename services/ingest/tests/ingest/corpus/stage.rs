//! Runs the requests of one row against a real process and looks at everything that must not change.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Row;
use millrace_ingest::Settings;

use crate::client::{Answer, Connection, get, request};
use crate::played::{descriptor, echo};
use crate::process::Process;
use crate::scene::{MODELS, Scene, create_topics, settings};

/// How often a row is repeated to see what it leaves behind.
const REPEATS: usize = 100;
/// Repeats before memory and descriptors are looked at for the first time.
const WARM_UP: usize = 10;
/// What a row may add to the process's memory, each time it is repeated.
const MAX_GROWTH_BYTES: u64 = 1 << 20;
/// How often the repeats are looked at. What leaks grows every time; what an allocator, another
/// thread or the broker's client sets aside once does not.
const LOOKS: usize = 3;
/// What any refusal may take beyond twice the time of a good request of the same size.
const SPARE: Duration = Duration::from_millis(1);
/// How long closed connections may take to disappear.
const PATIENCE: Duration = Duration::from_secs(10);
const M: &str = "/v1/models/m:predict";

/// An ingest process, and a played infer behind it.
pub(super) struct Stage {
    scene: Scene,
    process: Process,
    /// What a good request says in its head.
    headers: &'static [&'static str],
    /// The least time of a good request, by size.
    good: BTreeMap<usize, Duration>,
}

const JSON: &str = "Content-Type: application/json";
/// The key of `tests/corpus/keys.toml`.
const KEY: &str = "X-API-Key: mr_corpus-key";

impl Stage {
    /// Everybody may ask.
    pub(super) fn open() -> Self {
        Self::set(&[JSON], |_| {})
    }

    /// Credentials are wanted: those of the corpus.
    pub(super) fn guarded(corpus: &Path) -> Self {
        Self::set(&[JSON, KEY], |settings| {
            let access = &mut settings.access;
            access.api_keys = Some(corpus.join("keys.toml"));
            access.jwks = Some(corpus.join("jwks.json"));
            access.jwt.issuer = Some("https://corpus.example".to_owned());
            access.jwt.audience = Some("millrace".to_owned());
        })
    }

    fn set(headers: &'static [&'static str], change: impl FnOnce(&mut Settings)) -> Self {
        let prefix = format!("ingest-{:016x}", rand::random::<u64>());
        create_topics(&prefix);
        let mut settings = settings(&prefix);
        change(&mut settings);
        let process = Process::start(settings);
        let scene = Scene::around(process.address, prefix);
        let stage = Self {
            scene,
            process,
            headers,
            good: BTreeMap::new(),
        };
        match headers.contains(&KEY) {
            false => stage.scene.serve_all(),
            // Whoever may not see a model is not told of it: only the one of the key can be waited for.
            true => {
                for (model, inputs) in MODELS {
                    stage.scene.serve(&descriptor(model, inputs), echo);
                }
                stage.wait_alive();
            }
        }
        stage
    }

    /// Holds one row against its expectation and everybody else's.
    pub(super) fn check(&mut self, row: &Row) -> Result<(), String> {
        let before = self.process.rejected();
        let ignored_before = self.ignored_keys();
        for request in &row.requests {
            let answer = self.send(request)?;
            row.expectation.check(&answer, request)?;
            if !row.expectation.is_taken()
                && answer.header("x-request-id").is_some()
                && self.scene.has_reached_infer(&answer)
            {
                return Err("a refused request reached Kafka".to_owned());
            }
        }
        check_counted(row, &before, &self.process.rejected())?;
        let ignored = self.ignored_keys() - ignored_before;
        if ignored != row.expectation.ignored_keys {
            return Err(format!("{ignored} keys counted as ignored"));
        }
        self.check_alive()?;
        self.check_repeats(row)
    }

    fn send(&self, request: &[u8]) -> Result<Answer, String> {
        let mut connection = Connection::open(self.process.address);
        connection.send(request);
        connection
            .read()
            .ok_or_else(|| "the connection was closed without an answer".to_owned())
    }

    fn ignored_keys(&self) -> u64 {
        const NAME: &str = "millrace_ingest_json_keys_ignored_total ";
        let text = get(self.process.address, "/metrics").text();
        let count = text.lines().find_map(|line| line.strip_prefix(NAME));
        count.map_or(0, |count| count.parse().unwrap())
    }

    fn wait_alive(&self) {
        let until = Instant::now() + 6 * PATIENCE;
        while self.ask_well(br#"{"instances": [[1,2,3,4]]}"#).status != 200 {
            assert!(Instant::now() < until, "m is never served");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A request that is right.
    fn ask_well(&self, body: &[u8]) -> Answer {
        let bytes = request("POST", M, self.headers, body);
        self.send(&bytes).unwrap()
    }

    fn check_alive(&mut self) -> Result<(), String> {
        if !self.process.is_running() {
            return Err("the process has ended".to_owned());
        }
        let answer = self.ask_well(br#"{"instances": [[1,2,3,4]]}"#);
        let expected = serde_json::json!({"predictions": [[1.0, 2.0, 3.0, 4.0]]});
        match answer.status == 200 && answer.json() == expected {
            true => Ok(()),
            false => Err(format!("the next good request got {}", answer.text())),
        }
    }

    /// Repeats leave neither memory nor descriptors behind, and none is slow.
    fn check_repeats(&mut self, row: &Row) -> Result<(), String> {
        for request in row.requests.iter().cycle().take(WARM_UP) {
            self.send(request)?;
        }
        let descriptors = self.process.descriptors();
        let mut grown = u64::MAX;
        for _ in 0..LOOKS {
            let memory = self.process.resident_bytes();
            self.check_times(row)?;
            grown = grown.min(self.process.resident_bytes().saturating_sub(memory));
            if grown <= MAX_GROWTH_BYTES {
                break;
            }
        }
        if grown > MAX_GROWTH_BYTES {
            return Err(format!("{REPEATS} repeats took {grown} bytes of memory"));
        }
        let until = Instant::now() + PATIENCE;
        while self.process.descriptors() > descriptors {
            if Instant::now() > until {
                let now = self.process.descriptors();
                return Err(format!("{descriptors} descriptors became {now}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// No repeat is slow: the fastest is held against a good request, first against an earlier one.
    fn check_times(&mut self, row: &Row) -> Result<(), String> {
        let mut least = Duration::MAX;
        for request in row.requests.iter().cycle().take(REPEATS) {
            let began = Instant::now();
            self.send(request)?;
            least = least.min(began.elapsed());
        }
        let size_bytes = row.requests.iter().map(Vec::len).max().unwrap_or(0);
        match least > self.good(size_bytes) * 2 + SPARE {
            true => self.check_by_turns(row, size_bytes),
            false => Ok(()),
        }
    }

    /// The row and good requests by turns: what slows the machine down slows both.
    fn check_by_turns(&mut self, row: &Row, size_bytes: usize) -> Result<(), String> {
        let (mut least, mut good) = (Duration::MAX, Duration::MAX);
        for request in row.requests.iter().cycle().take(REPEATS) {
            let began = Instant::now();
            self.send(request)?;
            least = least.min(began.elapsed());
            good = good.min(self.time_of_good(size_bytes));
        }
        match least > good * 2 + SPARE {
            true => Err(format!("takes {least:?}, a good request {good:?}")),
            false => Ok(()),
        }
    }

    /// The least time of a good request of about this size, when it was first asked for.
    fn good(&mut self, size_bytes: usize) -> Duration {
        let class = size_bytes.next_power_of_two();
        if let Some(known) = self.good.get(&class) {
            return *known;
        }
        let times = (0..5).map(|_| self.time_of_good(size_bytes));
        let least = times.min().unwrap_or_default();
        self.good.insert(class, least);
        least
    }

    /// The time of one good request of about this size: numbers, then white space.
    fn time_of_good(&self, size_bytes: usize) -> Duration {
        let size_bytes = size_bytes.next_power_of_two().min(8 << 20);
        let mut body = br#"{"instances": [[1,2,3,4]]"#.to_vec();
        body.resize(size_bytes.max(body.len() + 1), b' ');
        body.push(b'}');
        let bytes = request("POST", M, self.headers, &body);
        let began = Instant::now();
        let status = self.send(&bytes).map(|answer| answer.status);
        assert_eq!(status, Ok(200), "a good request of {size_bytes} bytes");
        began.elapsed()
    }
}

/// Each request counts once, under the reason of the table, and under no other.
fn check_counted(
    row: &Row,
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> Result<(), String> {
    let requests = u64::try_from(row.requests.len()).unwrap_or(u64::MAX);
    for (reason, count) in after {
        let counted = count - before.get(reason).unwrap_or(&0);
        let expected = match row.expectation.reason.as_deref() == Some(reason) {
            true => requests,
            false => 0,
        };
        if counted != expected {
            return Err(format!("{counted} refusals counted as {reason}"));
        }
    }
    match &row.expectation.reason {
        Some(reason) if !after.contains_key(reason) => {
            Err(format!("no refusal counted as {reason}"))
        }
        _ => Ok(()),
    }
}
