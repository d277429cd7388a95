//! Callers of ingest over HTTP: each asks for its own number, so that an answer that is somebody else's shows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use e2e::wait_for;
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

use crate::rig::MODEL;

/// How many ask at the same time.
const CALLERS: usize = 8;
/// How long a caller waits for its answer.
const DEADLINE_S: &str = "15";
/// How long one waits for an answer that was promised.
const PROMISED: Duration = Duration::from_secs(180);

/// What they were told.
#[derive(Default)]
pub(crate) struct Callers {
    /// Where ingest is; a caller takes the next one each time.
    urls: Mutex<Vec<String>>,
    asked: AtomicUsize,
    answered: AtomicUsize,
    /// How often each status came; 0 stands for a connection that ended.
    statuses: Mutex<BTreeMap<u16, usize>>,
    /// Numbers that were accepted to be answered later, and where.
    accepted: Mutex<Vec<(usize, String)>>,
    /// The longest time until an answer that was neither 200 nor 202.
    slowest_refusal: Mutex<Duration>,
}

impl Callers {
    pub(crate) fn of(urls: Vec<String>) -> Self {
        Self {
            urls: Mutex::new(urls),
            ..Self::default()
        }
    }

    /// From now on these are asked.
    pub(crate) fn turn_to(&self, urls: Vec<String>) {
        *lock(&self.urls) = urls;
    }

    /// Calls until `disturb` is done.
    pub(crate) fn call_while(&self, disturb: impl FnOnce()) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    let client = client();
                    while !over.load(Ordering::Relaxed) {
                        self.call(&client);
                    }
                });
            }
            let _over = SetOnDrop(&over);
            disturb();
        });
    }

    /// How many numbers were answered at once.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn slowest_refusal(&self) -> Duration {
        *lock(&self.slowest_refusal)
    }

    /// Waits until so many more were answered.
    pub(crate) fn wait_for_answers(&self, more: usize) {
        let goal = self.answered() + more;
        wait_for(PROMISED, &format!("{more} more answers over HTTP"), || {
            (self.answered() >= goal).then_some(())
        });
    }

    /// Only these statuses came (0 is a connection that ended), and what was accepted is answered, with its own number.
    pub(crate) fn settle(&self, allowed: &[u16]) {
        let statuses = lock(&self.statuses).clone();
        println!("{} calls: {statuses:?}", self.asked());
        let strange: Vec<_> = statuses.keys().filter(|it| !allowed.contains(it)).collect();
        assert!(strange.is_empty(), "{strange:?} among {statuses:?}");
        let url = lock(&self.urls)[0].clone();
        let client = client();
        let accepted = lock(&self.accepted).clone();
        assert!(!accepted.is_empty(), "some were accepted");
        for (number, location) in accepted {
            let value = wait_for(PROMISED, &format!("the answer to {number}"), || {
                let got = client
                    .get(format!("{url}{location}?wait=10s"))
                    .send()
                    .ok()?;
                (got.status() == 200).then(|| got.text().ok())?
            });
            check(number, &value);
        }
    }

    fn call(&self, client: &Client) {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let url = {
            let urls = lock(&self.urls);
            urls[number % urls.len()].clone()
        };
        let later = number.is_multiple_of(10);
        let begun = Instant::now();
        let answer = ask(client, &url, (number, later));
        let status = answer.as_ref().map_or(0, |it| it.status().as_u16());
        *lock(&self.statuses).entry(status).or_default() += 1;
        match (answer, status) {
            (Ok(answer), 200) => {
                if let Ok(text) = answer.text() {
                    check(number, &text);
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
            }
            (Ok(answer), 202) => {
                let location = answer.headers()["location"].to_str();
                let location = location.expect("a path is text").to_owned();
                lock(&self.accepted).push((number, location));
            }
            _ => {
                let mut slowest = lock(&self.slowest_refusal);
                *slowest = slowest.max(begun.elapsed());
                drop(slowest);
                // As a caller does who is told to try again later.
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn ask(client: &Client, url: &str, (number, later): (usize, bool)) -> reqwest::Result<Response> {
    let body = json!({ "instances": [{ "x": [number, 1, 2, 3] }] });
    let request = client
        .post(format!("{url}/v1/models/{MODEL}:predict"))
        .header("Request-Timeout", DEADLINE_S)
        .body(body.to_string());
    match later {
        // An accepted request must not run out of time while the fault lasts.
        true => client
            .post(format!("{url}/v1/models/{MODEL}:predict"))
            .header("Prefer", "respond-async")
            .body(body.to_string())
            .send(),
        false => request.send(),
    }
}

/// # Panics
/// When the answer is not that to this number.
fn check(number: usize, text: &str) {
    let answer: Value = serde_json::from_str(text).expect("JSON");
    let row = &answer["predictions"][0];
    let values = row.get("y").unwrap_or(row);
    let first = values[0].as_f64().map(|it| it.to_string());
    assert_eq!(first, Some(number.to_string()), "{text}");
}

fn client() -> Client {
    let client = Client::builder().timeout(Duration::from_secs(60)).build();
    client.expect("a client")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
