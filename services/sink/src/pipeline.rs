//! One pipeline: a member of a consumer group, a thread that builds rows of what it reads, and one that writes them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, anyhow};
use crossbeam_channel::{Sender, bounded};
use millrace_boot::{Gate, Health};
use millrace_claims::Store;
use millrace_kafka::{
    GroupConsumer, GroupSettings, Intake, IntakeError, Record, RecordBlock, StartAt, State, Ticket,
    TopicPartition,
};
use millrace_wire::{Decoder, Limits};
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::batcher::{Batcher, Command, Workshop};
use crate::destinations::{self, Surroundings, Writer};
use crate::equipment::Equipment;
use crate::fetching::Fetching;
use crate::handover::handover;
use crate::letters::Letters;
use crate::metrics::Metrics;
use crate::projection::Projection;
use crate::settings::{PipelineSettings, Settings};
use crate::settler::Settler;

/// Room in the channel beside the records: claims, flushes, releases.
const ROOM_FOR_CONTROL: usize = 1024;

/// What all pipelines of a process share.
pub(crate) struct Shared {
    /// Only the pipelines in it ever change.
    pub(crate) settings: Settings,
    pub(crate) letters: Letters,
    /// Where values are that are too large for their records.
    pub(crate) store: Option<Arc<Store>>,
    pub(crate) metrics: Metrics,
    pub(crate) kafka_metrics: millrace_kafka::Metrics,
    pub(crate) health: Health,
}

/// A running pipeline.
pub(crate) struct Pipeline {
    settings: PipelineSettings,
    consumer: GroupConsumer,
    thread: JoinHandle<()>,
    failure: oneshot::Receiver<anyhow::Error>,
    hurry: Arc<AtomicBool>,
    gate: Gate,
    destination_gate: Gate,
}

/// A pipeline whose destination is open, and which does not read yet.
pub(crate) struct Prepared {
    settings: PipelineSettings,
    writer: Box<dyn Writer>,
}

impl Pipeline {
    /// Opens the destination.
    pub(crate) fn prepare(
        settings: &PipelineSettings,
        shared: &Shared,
    ) -> anyhow::Result<Prepared> {
        let around = Surroundings {
            group: &group_name(settings, &shared.settings),
            instance: shared.settings.instance.as_deref(),
            cluster: &shared.settings.kafka,
            kafka_metrics: &shared.kafka_metrics,
        };
        let opened = destinations::open(settings, &around);
        Ok(Prepared {
            writer: opened.with_context(|| format!("cannot start pipeline {}", settings.name))?,
            settings: settings.clone(),
        })
    }

    /// Starts reading.
    pub(crate) fn start(prepared: Prepared, shared: &Shared) -> anyhow::Result<Self> {
        let hurry = Arc::new(AtomicBool::new(false));
        let Prepared { settings, writer } = prepared;
        let equipment = equipment(&settings, writer, shared, Arc::clone(&hurry));
        let destination_gate = equipment.gate.clone();
        let (handover, takeover) = handover(&equipment);
        let batcher = Batcher::new(workshop(&settings, shared), handover);
        let settler = Settler::new(equipment, takeover);
        let (commands, inbox) = bounded(settings.max_in_flight_records + ROOM_FOR_CONTROL);
        let (report, failure) = oneshot::channel();
        let building = spawn("build", &settings.name, move || batcher.run(&inbox))?;
        let thread = spawn("write", &settings.name, move || {
            work(settler, building, report);
        })?;
        let group = group(&settings, &shared.settings);
        let consumer = GroupConsumer::start(group, Inlet { commands }, &shared.kafka_metrics)?;
        Ok(Self {
            gate: shared.health.gate(&format!("pipeline {}", settings.name)),
            settings,
            consumer,
            thread,
            failure,
            hurry,
            destination_gate,
        })
    }

    /// Why the pipeline cannot go on, if it cannot.
    pub(crate) fn failure(&mut self) -> Option<anyhow::Error> {
        // The writer knows more than the consumer, which only sees that its intake has gone.
        let error = match (self.failure.try_recv(), &*self.consumer.state().borrow()) {
            (Ok(error), _) => error,
            (Err(TryRecvError::Closed), _) => anyhow!("its writer ended unexpectedly"),
            (Err(TryRecvError::Empty), State::Failed(error)) => error.clone().into(),
            (Err(TryRecvError::Empty), _) => return None,
        };
        Some(error.context(format!("pipeline {} failed", self.settings.name)))
    }

    /// What it was started with.
    pub(crate) fn settings(&self) -> &PipelineSettings {
        &self.settings
    }

    /// Says in the readiness report what keeps the pipeline from reading.
    pub(crate) fn report_health(&self) {
        match self.consumer.state().borrow().complaint() {
            None => self.gate.open(),
            Some(complaint) => self.gate.close(complaint),
        }
    }

    /// Stops reading, writes what is open, and leaves the group.
    pub(crate) fn stop(self, deadline: Duration) -> anyhow::Result<()> {
        self.gate
            .close(State::Stopping.complaint().unwrap_or_default());
        let stopped = self.consumer.stop(deadline);
        self.hurry.store(true, Ordering::Relaxed);
        // The consumer is gone and with it the commands: the thread ends after its last write.
        let joined = self.thread.join();
        self.gate.remove();
        self.destination_gate.remove();
        let name = self.settings.name;
        stopped.with_context(|| format!("pipeline {name} did not stop well"))?;
        joined.map_err(|_| anyhow!("the writer of pipeline {name} panicked"))
    }
}

fn spawn<T: Send + 'static>(
    what: &str,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<JoinHandle<T>> {
    let thread = thread::Builder::new().name(format!("{what} {name}"));
    thread.spawn(work).context("cannot start a thread")
}

/// Writes until the building thread has ended or nothing can be written; says which of them failed.
fn work(
    settler: Settler,
    building: JoinHandle<anyhow::Result<()>>,
    report: oneshot::Sender<anyhow::Error>,
) {
    let settled = settler.run();
    let built = building.join();
    let built = built.unwrap_or_else(|_| Err(anyhow!("the thread that builds rows panicked")));
    if let Err(error) = settled.and(built) {
        // Nobody listens if the process is stopping; the offsets have not moved.
        if let Err(error) = report.send(error) {
            tracing::error!(
                error = format!("{error:#}"),
                "the last records are not written"
            );
        }
    }
}

fn workshop(settings: &PipelineSettings, shared: &Shared) -> Workshop {
    let projection = Projection::new(&settings.columns, settings.tensors, settings.top.as_ref());
    Workshop {
        projection: projection.marking_json(settings.destination.has_json()),
        decoder: Decoder::new(limits(&shared.settings)),
        fetching: Fetching::new(shared.store.clone(), settings.max_outage),
        roll: settings.roll(),
        high_bytes: settings.max_in_flight_bytes / 2,
        high_records: settings.max_in_flight_records / 2,
        metrics: shared.metrics.of(&settings.name),
    }
}

/// What a result may be, in its record or fetched for it.
fn limits(settings: &Settings) -> Limits {
    let limits = Limits::default();
    Limits {
        max_record_bytes: settings.claims.largest(limits.max_record_bytes),
        ..limits
    }
}

fn equipment(
    settings: &PipelineSettings,
    writer: Box<dyn Writer>,
    shared: &Shared,
    hurry: Arc<AtomicBool>,
) -> Equipment {
    Equipment {
        writer,
        letters: shared.letters.clone(),
        max_outage: settings.max_outage,
        metrics: shared.metrics.of(&settings.name),
        gate: shared
            .health
            .gate(&format!("pipeline {} destination", settings.name)),
        hurry,
    }
}

fn group(pipeline: &PipelineSettings, settings: &Settings) -> GroupSettings {
    let prefix = &settings.topics.prefix;
    let instance_id = settings.instance.as_ref();
    GroupSettings {
        cluster: settings.kafka.clone(),
        group: group_name(pipeline, settings),
        topics: pipeline.all_topics(prefix),
        pattern: pipeline.pattern.clone(),
        max_in_flight_bytes: pipeline.max_in_flight_bytes,
        max_in_flight_records: pipeline.max_in_flight_records,
        committing: pipeline.destination.committing(),
        drain_deadline: settings.drain_deadline,
        instance_id: instance_id.map(|instance| format!("{instance}.{}", pipeline.name)),
        ..GroupSettings::default()
    }
}

fn group_name(pipeline: &PipelineSettings, settings: &Settings) -> String {
    format!("{}.sink.{}", settings.topics.prefix, pipeline.name)
}

/// Hands everything on to the building thread, in order.
struct Inlet {
    commands: Sender<Command>,
}

impl Inlet {
    fn send(&self, command: Command) {
        // If the thread is gone, its failure is on its way to the app; a ticket in the command
        // is dropped unfinished, so that its offset stays where it is.
        let _ = self.commands.send(command);
    }
}

impl Intake for Inlet {
    const IN_BLOCKS: bool = true;

    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<Vec<StartAt>, IntakeError> {
        let (answer, offsets) = bounded(1);
        self.send(Command::Claim {
            partitions: partitions.to_vec(),
            answer,
        });
        // The thread answers, or ends after the longest outage, which closes the channel.
        let offsets = offsets
            .recv()
            .map_err(|_| IntakeError::new(io::Error::other("the destination cannot be written")))?;
        Ok(offsets.into_iter().map(StartAt::At).collect())
    }

    fn record(&mut self, record: Record, ticket: Ticket) {
        let mut block = RecordBlock::new(ticket.partition().clone());
        block.push(&record);
        self.block(block, ticket);
    }

    fn block(&mut self, block: RecordBlock, ticket: Ticket) {
        self.send(Command::Take(Arc::new(block), ticket));
    }

    fn revoking(&mut self, partitions: &[TopicPartition]) {
        self.send(Command::Flush(partitions.to_vec()));
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) {
        self.send(Command::Release(partitions.to_vec()));
    }

    fn tick(&mut self) {}
}
