//! Rows on their way from the input through the model into parts.

use std::time::Duration;

use anyhow::bail;

use super::answers::{Columns, Outcomes};
use super::parts::{OpenPart, Parts};
use super::reader::{Next, Reader, Wait};
use super::window::Window;
use crate::interrupt::Interrupt;
use crate::progress::{Done, Progress, Total};
use crate::rows::Chunk;

/// How long one wait for a reply is, so that progress is shown.
const GLANCE: Duration = Duration::from_millis(100);

/// Rows on their way from the input through the model into parts.
pub(super) struct Flow<'p> {
    window: Window,
    columns: Columns,
    parts: &'p Parts,
    part: Option<OpenPart>,
    checkpoint: Duration,
    progress: Progress,
    interrupt: Interrupt,
    done: Done,
}

/// Somebody wants the run to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

/// How it ended.
pub(super) struct Ended {
    pub(super) outcome: anyhow::Result<()>,
    pub(super) is_broker_down: bool,
}

impl<'p> Flow<'p> {
    pub(super) fn new(
        window: Window,
        columns: Columns,
        (parts, checkpoint): (&'p Parts, Duration),
        (total, rows_done): (Total, u64),
    ) -> anyhow::Result<Self> {
        let done = Done {
            rows: rows_done,
            bytes: 0,
        };
        Ok(Self {
            window,
            columns,
            parts,
            part: None,
            checkpoint,
            progress: Progress::start("scored", total, done),
            done,
            interrupt: Interrupt::listen()?,
        })
    }

    /// Sends, hears and keeps until no row is left; what is finished is kept however it ends.
    pub(super) fn run(mut self, reader: Reader) -> Ended {
        let outcome = self.all(&reader);
        let closed = self.close();
        let stopped = reader.stop();
        let is_broker_down = self.window.is_broker_down();
        self.window.close();
        self.progress.finish();
        Ended {
            outcome: outcome.and(closed).and(stopped),
            is_broker_down,
        }
    }

    fn all(&mut self, reader: &Reader) -> anyhow::Result<()> {
        let mut is_read = false;
        loop {
            if !is_read {
                is_read = self.send(reader)?;
            }
            while let Some((chunk, outcomes)) = self.window.take_finished() {
                self.keep(&chunk, outcomes)?;
            }
            if is_read && self.window.is_empty() {
                return Ok(());
            }
            if !self.window.is_empty() {
                self.window.hear(GLANCE)?;
            }
            self.progress.show(self.done);
            if self.interrupt.is_wanted() {
                return Err(Interrupted.into());
            }
        }
    }

    /// Sends what is ready as long as there is room; says whether that was all.
    fn send(&mut self, reader: &Reader) -> anyhow::Result<bool> {
        while self.window.has_room() {
            let wait = match self.window.is_empty() {
                true => Wait::Yes,
                false => Wait::No,
            };
            match reader.next(wait)? {
                Next::End => return Ok(true),
                Next::NotYet => break,
                Next::Chunk(prepared) => {
                    if prepared.chunk.first_row == 0 {
                        check_first(&prepared.chunk)?;
                    }
                    self.window.begin(*prepared)?;
                }
            }
        }
        Ok(false)
    }

    /// Writes finished rows into the part.
    fn keep(&mut self, chunk: &Chunk, outcomes: Outcomes) -> anyhow::Result<()> {
        let batch = self.columns.rows(chunk, outcomes)?;
        let mut part = match self.part.take() {
            Some(part) => part,
            None => self
                .parts
                .begin_part(self.columns.schema(), self.done.rows)?,
        };
        part.write(&batch)?;
        self.done = Done {
            rows: self.done.rows + batch.num_rows() as u64,
            bytes: chunk.bytes,
        };
        match part.is_due(self.checkpoint) {
            true => self.parts.close_part(part),
            false => {
                self.part = Some(part);
                Ok(())
            }
        }
    }

    /// Keeps what is finished, however the run ends.
    fn close(&mut self) -> anyhow::Result<()> {
        match self.part.take() {
            Some(part) => self.parts.close_part(part),
            None => Ok(()),
        }
    }
}

/// If not one of the first rows fits, none will: that is a mistake, not a bad row.
fn check_first(chunk: &Chunk) -> anyhow::Result<()> {
    let rows = chunk.carried.num_rows();
    if chunk.failed.len() < rows {
        return Ok(());
    }
    let sentence = chunk.failed.first().map_or("", |(_, sentence)| sentence);
    bail!("none of the first {rows} rows fits the model: {sentence}")
}
