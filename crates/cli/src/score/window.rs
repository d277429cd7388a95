//! The rows that are on their way to the model: bounded in bytes, given back in order.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use millrace_wire::{Decoder, Encoder, Limits, Status};

use super::answers::Outcomes;
use super::reader::Prepared;
use crate::conversation::{Asking, MAX_RECORD_BYTES, Question, Refusal, Reply};
use crate::exit::Exit;
use crate::rows::{Chunk, size_bytes};

/// What a record takes beside its value.
const RECORD_OVERHEAD_BYTES: usize = 4 << 10;

/// Chunks on their way.
pub(super) struct Window {
    asking: Asking,
    job: String,
    running: VecDeque<Running>,
    /// The number of the first of them.
    front: u64,
    /// Where the answers belong that have not come yet.
    open: HashMap<String, (u64, Range<usize>)>,
    bytes: usize,
    max_bytes: usize,
    patience: Duration,
    /// When the model was heard last, or asked first.
    heard: Instant,
    decoder: Decoder,
    encoder: Encoder,
}

struct Running {
    chunk: Chunk,
    outcomes: Outcomes,
    open: usize,
    bytes: usize,
}

/// What the window is told at its beginning.
pub(super) struct Bounds {
    pub(super) max_bytes: usize,
    /// How long the model may say nothing.
    pub(super) patience: Duration,
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A row's, which asking with fewer rows finds.
    Row,
    /// Nobody's: it would be the same for every row.
    Line,
}

impl Window {
    pub(super) fn new(asking: Asking, job: &str, bounds: &Bounds) -> Self {
        Self {
            asking,
            job: job.to_owned(),
            running: VecDeque::new(),
            front: 0,
            open: HashMap::new(),
            bytes: 0,
            max_bytes: bounds.max_bytes,
            patience: bounds.patience,
            heard: Instant::now(),
            decoder: Decoder::new(Limits::default()),
            encoder: Encoder::default(),
        }
    }

    /// Whether more rows may be sent: always when none is on its way.
    pub(super) fn has_room(&self) -> bool {
        self.running.is_empty() || self.bytes < self.max_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Sends the rows of a chunk.
    pub(super) fn begin(&mut self, prepared: Prepared) -> anyhow::Result<()> {
        let Prepared { chunk, payload } = prepared;
        if self.open.is_empty() {
            self.heard = Instant::now();
        }
        let rows = chunk.inputs.rows();
        let bytes = payload.as_ref().map_or(0, Vec::len) + size_bytes(&chunk.carried);
        self.bytes += bytes;
        self.running.push_back(Running {
            chunk,
            outcomes: Outcomes::default(),
            open: 0,
            bytes,
        });
        let number = self.front + self.running.len() as u64 - 1;
        match payload {
            Some(payload) => self.ask(number, 0..rows, payload),
            None => Ok(()),
        }
    }

    /// Takes in a reply if one comes in time.
    ///
    /// # Errors
    /// The line cannot answer: nothing is heard for too long, or it refuses whatever is asked.
    pub(super) fn hear(&mut self, wait: Duration) -> anyhow::Result<()> {
        let Some(reply) = self.asking.next(wait, &mut self.decoder)? else {
            if !self.open.is_empty() && self.heard.elapsed() >= self.patience {
                return Err(Exit::Unreachable.error(self.silence()));
            }
            return Ok(());
        };
        self.heard = Instant::now();
        let Reply { id, answer } = reply;
        // A record may be answered twice; the answers are the same.
        let Some((number, range)) = self.open.remove(&id) else {
            return Ok(());
        };
        let running = self.running(number)?;
        running.open -= 1;
        match answer {
            Ok(record) => {
                running.outcomes.answers.push((range, record));
                Ok(())
            }
            Err(refusal) => self.refused(number, range, refusal),
        }
    }

    /// The first chunk, once all its rows have an outcome.
    pub(super) fn take_finished(&mut self) -> Option<(Chunk, Outcomes)> {
        let finished = self.running.pop_front_if(|running| running.open == 0)?;
        self.front += 1;
        self.bytes -= finished.bytes;
        Some((finished.chunk, finished.outcomes))
    }

    /// Whether the broker has gone.
    pub(super) fn is_broker_down(&self) -> bool {
        self.asking.is_broker_down()
    }

    pub(super) fn close(self) {
        self.asking.close();
    }

    fn refused(
        &mut self,
        number: u64,
        range: Range<usize>,
        refusal: Refusal,
    ) -> anyhow::Result<()> {
        if fault(refusal.status) == Fault::Line {
            bail!("infer refuses: {refusal}");
        }
        if range.len() == 1 {
            let running = self.running(number)?;
            running
                .outcomes
                .refused
                .push((range.start, refusal.to_string()));
            return Ok(());
        }
        self.halve(number, range)
    }

    /// Asks again with half of the rows, twice.
    fn halve(&mut self, number: u64, range: Range<usize>) -> anyhow::Result<()> {
        let middle = range.start + range.len() / 2;
        for half in [range.start..middle, middle..range.end] {
            let index = usize::try_from(number - self.front)?;
            let running = self
                .running
                .get(index)
                .context("a chunk that is not there")?;
            let payload = running
                .chunk
                .inputs
                .encode(half.clone(), &mut self.encoder)?;
            self.ask(number, half, payload)?;
        }
        Ok(())
    }

    fn ask(&mut self, number: u64, rows: Range<usize>, payload: Vec<u8>) -> anyhow::Result<()> {
        let size_bytes = payload.len();
        if size_bytes + RECORD_OVERHEAD_BYTES > MAX_RECORD_BYTES {
            if rows.len() > 1 {
                return self.halve(number, rows);
            }
            let sentence = format!(
                "RESOURCE_EXHAUSTED: the row needs a record of {size_bytes} bytes, the limit is {MAX_RECORD_BYTES}"
            );
            let running = self.running(number)?;
            running.outcomes.refused.push((rows.start, sentence));
            return Ok(());
        }
        let running = self.running(number)?;
        running.open += 1;
        let first = running.chunk.first_row;
        let id = format!("{}-{first}-{}-{}", self.job, rows.start, rows.end);
        self.open.insert(id.clone(), (number, rows));
        let question = Question {
            id,
            payload,
            deadline_unix_ms: None,
        };
        self.asking.send(question, Instant::now() + self.patience)
    }

    fn running(&mut self, number: u64) -> anyhow::Result<&mut Running> {
        let index = usize::try_from(number - self.front)?;
        self.running
            .get_mut(index)
            .context("a chunk that is not there")
    }

    fn silence(&self) -> String {
        let seconds = self.patience.as_secs_f64();
        match self.asking.unacknowledged() {
            0 => format!("no answer for {seconds} s"),
            records => {
                format!("no answer for {seconds} s, and the broker has not taken {records} records")
            }
        }
    }
}

fn fault(status: Status) -> Fault {
    match status {
        Status::NotFound
        | Status::Unavailable
        | Status::DeadlineExceeded
        | Status::Cancelled
        | Status::Aborted
        | Status::PermissionDenied
        | Status::Unauthenticated => Fault::Line,
        _ => Fault::Row,
    }
}
