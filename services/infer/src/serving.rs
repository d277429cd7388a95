//! What runs by now: takes start-up's events, watches the consumers, keeps readiness and descriptors true, and stops it
//! all in order.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use millrace_boot::Gate;
use millrace_kafka::{Producer, State};
use millrace_wire::avro::ModelState;
use tracing::{error, info, warn};

use crate::descriptors::{Publisher, announcement, available};
use crate::fatal::Fatal;
use crate::pipeline::Pipeline;
use crate::startup::Event;

/// A stop waits this long for the last results and tombstones.
const PRODUCER_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Serving {
    replica: String,
    fatal: Fatal,
    producer: Option<Producer>,
    publisher: Option<Publisher>,
    pipelines: Vec<Running>,
    /// Models that are not served, and why.
    refused: BTreeMap<String, String>,
    loading: bool,
}

#[derive(Debug)]
struct Running {
    pipeline: Pipeline,
    /// Its consumer has joined its group once, and callers have been told.
    announced: bool,
}

impl Serving {
    pub(crate) fn new(replica: String, fatal: Fatal) -> Self {
        Self {
            replica,
            fatal,
            producer: None,
            publisher: None,
            pipelines: Vec::new(),
            refused: BTreeMap::new(),
            loading: true,
        }
    }

    /// Start-up has come further.
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Connected {
                producer,
                publisher,
            } => {
                self.producer = Some(producer);
                self.publisher = Some(publisher);
            }
            Event::Started(pipeline) => self.pipelines.push(Running {
                pipeline: *pipeline,
                announced: false,
            }),
            Event::Refused {
                model,
                version,
                reason,
            } => {
                error!(model, version, reason, "the model is not served");
                let mut descriptor =
                    announcement(&self.replica, &model, version, ModelState::Failed);
                descriptor.reason.clone_from(&reason);
                if let Some(publisher) = &self.publisher {
                    publisher.publish(descriptor);
                }
                self.refused.insert(model, reason);
            }
            Event::Finished => self.loading = false,
        }
    }

    /// Brings readiness and descriptors in line with the consumers' states; a failed client is fatal.
    pub(crate) fn look(&mut self, gate: &Gate) {
        if let Some(State::Failed(error)) = self
            .producer
            .as_ref()
            .map(|producer| producer.state().borrow().clone())
        {
            self.fatal
                .report(anyhow::Error::new(error).context("the producer failed"));
        }
        let mut complaints = Vec::new();
        for running in &mut self.pipelines {
            let state = running.pipeline.state();
            let model = running.pipeline.model();
            if let State::Failed(error) = &state {
                let context = format!("the consumer of model {model} failed");
                self.fatal
                    .report(anyhow::Error::new(error.clone()).context(context));
            }
            running.pipeline.mark_available(state.is_running());
            if let Some(publisher) = &self.publisher {
                publisher.set_backlog(model, running.pipeline.backlog_records());
                if state.is_running() && !running.announced {
                    running.announced = true;
                    for served in running.pipeline.served() {
                        info!(model, version = served.version, "serving");
                        publisher.publish(available(&self.replica, &served));
                    }
                }
            }
            complaints.extend(
                state
                    .complaint()
                    .map(|complaint| format!("model {model}: {complaint}")),
            );
        }
        if complaints.len() < self.pipelines.len() {
            gate.open();
        } else if self.producer.is_some() {
            gate.close(self.reason(complaints));
        }
    }

    /// Why nothing is served.
    fn reason(&self, mut complaints: Vec<String>) -> String {
        complaints.extend(
            self.refused
                .iter()
                .map(|(model, reason)| format!("model {model}: {reason}")),
        );
        if self.loading {
            complaints.push("models are being loaded".to_owned());
        }
        complaints.join("; ")
    }

    /// Drains every pipeline at the same time, then takes the descriptors back and sends what is left.
    ///
    /// # Errors
    /// The fatal error that made the process stop, or the first thing that could not be finished in time.
    pub(crate) fn stop(self, deadline: Duration) -> anyhow::Result<()> {
        if let Some(publisher) = &self.publisher {
            publisher.unload();
        }
        let mut outcomes = Vec::new();
        thread::scope(|scope| {
            let stops: Vec<_> = self
                .pipelines
                .into_iter()
                .map(|running| scope.spawn(move || running.pipeline.stop(deadline)))
                .collect();
            for stop in stops {
                outcomes.push(
                    stop.join().unwrap_or_else(|_| {
                        Err(anyhow::anyhow!("a pipeline panicked at its stop"))
                    }),
                );
            }
        });
        if let Some(publisher) = self.publisher {
            publisher.stop();
        }
        if let Some(producer) = self.producer {
            outcomes.push(producer.stop(PRODUCER_DEADLINE).map_err(Into::into));
        }
        let first_failure = outcomes
            .into_iter()
            .filter_map(Result::err)
            .inspect(|error| warn!("{error:#}"))
            .last();
        match self.fatal.take().or(first_failure) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
