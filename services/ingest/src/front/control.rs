//! Changes of what is wanted of a model: written to the control topic, done when every replica shows it.

use std::time::Duration;

use millrace_kafka::{RewriteError, Rewriter};
use millrace_wire::Status;
use millrace_wire::avro::{AvroError, ControlChange, ModelControl, ModelDescriptor, Progress};
use tokio::time::{Instant, timeout_at};

use crate::access::{Caller, Right};
use crate::settings::Settings;

use super::clock::unix_ms;
use super::error::Kind;
use super::topics::Topics;
use super::{Error, Front};

/// How long the broker may take for the record itself.
const WRITING: Duration = Duration::from_secs(20);
/// Leases run out without a record; so often it is looked at.
const TICK: Duration = Duration::from_millis(500);
/// Below every offset: for what was so before anything was asked for.
const BEFORE_ALL: i64 = i64::MIN;

/// Why a model is not loaded or unloaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("failed to {verb} '{model}': {why}")]
    NotDone {
        verb: &'static str,
        model: String,
        why: String,
    },
    #[error(
        "'{model}' was told to {verb}, which was not done within {} s: {waiting}; the replicas go on",
        .waited.as_secs()
    )]
    Late {
        verb: &'static str,
        model: String,
        waited: Duration,
        waiting: String,
    },
    #[error("what is wanted of '{model}' cannot be written to the control topic: {why}")]
    NotWritten { model: String, why: String },
}

impl ControlError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NotDone { .. } => Kind::invalid("not_loaded"),
            Self::Late { .. } => Kind::new(Status::DeadlineExceeded, "control_late"),
            Self::NotWritten { .. } => Kind::busy("control_not_written", 5),
        }
    }
}

/// Whether a model shall be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Load,
    Unload,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Unload => "unload",
        }
    }

    fn change(self) -> ControlChange {
        match self {
            Self::Load => ControlChange::Load,
            Self::Unload => ControlChange::Unload,
        }
    }
}

/// Where changes are written.
pub(super) struct Control {
    rewriter: Rewriter,
    timeout: Duration,
}

impl Control {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            rewriter: Rewriter {
                cluster: settings.kafka.clone(),
                topic: Topics::new(&settings.topics.prefix).control(),
            },
            timeout: settings.control.timeout,
        }
    }
}

/// Why a value is not written.
enum Unwritten {
    /// What is asked for is so already.
    Already,
    Unreadable(AvroError),
}

impl Front {
    /// Says that a model shall be served or not, and waits until every replica that lives shows it.
    ///
    /// # Errors
    /// The caller may not, nobody knows the model, [`ControlError`].
    pub(crate) async fn control(
        &self,
        caller: &Caller,
        model: &str,
        verb: Verb,
    ) -> Result<(), Error> {
        self.permit(caller, Right::Control, model)?;
        let said = self.catalog.said_of(model, unix_ms());
        if said.is_empty() {
            return Err(self.nobody(caller, model, verb));
        }
        let Some(offset) = self.write_control(caller, model, (verb, said)).await? else {
            return Ok(());
        };
        tracing::info!(
            model,
            caller = caller.name(),
            verb = verb.name(),
            offset,
            "control"
        );
        self.wait_for_control(model, verb, offset).await
    }

    fn nobody(&self, caller: &Caller, model: &str, verb: Verb) -> Error {
        match verb {
            Verb::Load => ControlError::NotDone {
                verb: verb.name(),
                model: model.to_owned(),
                why: "infer has no such model; put it into its models folder".to_owned(),
            }
            .into(),
            Verb::Unload => {
                let unknown = self.catalog.unknown(model, unix_ms());
                unknown.told_to(caller).into()
            }
        }
    }

    /// Where the record stands; `None` if nothing had to be written.
    async fn write_control(
        &self,
        caller: &Caller,
        model: &str,
        (verb, said): (Verb, Vec<ModelDescriptor>),
    ) -> Result<Option<i64>, Error> {
        let rewriter = self.control.rewriter.clone();
        let (key, by) = (model.to_owned(), format!("ingest, for {}", caller.name()));
        let write = move || {
            let until = std::time::Instant::now() + WRITING;
            rewriter.change(key.as_bytes(), until, |newest| {
                changed(&key, &by, (verb, &said), newest)
            })
        };
        let written = tokio::task::spawn_blocking(write).await;
        let why = match written.map_err(|_| Error::Worker)? {
            Ok(offset) => return Ok(Some(offset)),
            Err(RewriteError::Refused(Unwritten::Already)) => return Ok(None),
            Err(RewriteError::Refused(Unwritten::Unreadable(error))) => error.to_string(),
            Err(RewriteError::Reading(error)) => error.to_string(),
            Err(RewriteError::Writing(error)) => error.to_string(),
        };
        let model = model.to_owned();
        Err(ControlError::NotWritten { model, why }.into())
    }

    async fn wait_for_control(&self, model: &str, verb: Verb, offset: i64) -> Result<(), Error> {
        let waited = self.control.timeout;
        let until = Instant::now() + waited;
        let (change, name) = (verb.change(), verb.name());
        loop {
            let mut news = std::pin::pin!(self.catalog.next_change());
            // From here on no change is missed.
            news.as_mut().enable();
            let said = self.catalog.said_of(model, unix_ms());
            let model = model.to_owned();
            match change.progress(offset, &said.iter().collect::<Vec<_>>()) {
                Progress::Done => return Ok(()),
                Progress::Failed(why) => {
                    let verb = name;
                    return Err(ControlError::NotDone { verb, model, why }.into());
                }
                Progress::Waiting(waiting) if Instant::now() >= until => {
                    return Err(ControlError::Late {
                        verb: name,
                        model,
                        waited,
                        waiting,
                    }
                    .into());
                }
                Progress::Waiting(_) => {}
            }
            // News or none: then it is looked at again.
            let _ = timeout_at(until.min(Instant::now() + TICK), news).await;
        }
    }
}

/// The new value, made of the newest one.
fn changed(
    model: &str,
    by: &str,
    (verb, said): (Verb, &[ModelDescriptor]),
    newest: Option<&[u8]>,
) -> Result<Vec<u8>, Unwritten> {
    let mut control = match newest {
        Some(message) => ModelControl::decode(message).map_err(Unwritten::Unreadable)?,
        None => ModelControl::of(model),
    };
    let said: Vec<&ModelDescriptor> = said.iter().collect();
    let change = verb.change();
    let is_so = change.progress(BEFORE_ALL, &said) == Progress::Done;
    if verb == Verb::Load && !control.unloaded && is_so {
        return Err(Unwritten::Already);
    }
    change.apply(&mut control);
    control.changed_at_unix_ms = unix_ms();
    by.clone_into(&mut control.changed_by);
    control.encode().map_err(Unwritten::Unreadable)
}
