//! The store of values that are too large for their records: used like a service does, and cleaned.

mod purge;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use clap::Subcommand;
use millrace_claims::{ClaimSettings, Metrics, Object, Store, Unclaimed};
use millrace_kafka::{Headers, Record};
use millrace_wire::headers::Claim;

use crate::connection::ConnectionArgs;
use crate::output::Output;

/// How long a command waits for the store.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Delete values that no record names any more; asks first
    ///
    /// The store is the one of claims.url. Whole days are deleted, and refused
    /// while a topic of the line may still keep a record that names their values.
    Purge(purge::Args),
}

pub(crate) fn run(
    command: &Command,
    connection: &ConnectionArgs,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        Command::Purge(args) => purge::run(args, connection, output),
    }
}

/// The store of the line, if its settings name one.
#[derive(Clone)]
pub(crate) struct Large {
    store: Option<Arc<Store>>,
}

impl Large {
    /// # Errors
    /// Options of the store that cannot be used.
    pub(crate) fn open(settings: &ClaimSettings) -> anyhow::Result<Self> {
        let store = Store::open(settings, Metrics::default())?;
        Ok(Self {
            store: store.map(Arc::new),
        })
    }

    fn store(&self) -> anyhow::Result<&Store> {
        self.store.as_deref().ok_or_else(|| {
            anyhow!("its value is in a store of large values: name it with --set claims.url=<URL>")
        })
    }

    /// The largest value that a record of so many bytes can stand for.
    pub(crate) fn largest(&self, record_bytes: usize) -> usize {
        let store = self.store.as_ref();
        store.map_or(record_bytes, |it| it.settings().largest(record_bytes))
    }

    /// The value of a record, empty if it was put into the store; then the headers say where it is.
    ///
    /// # Errors
    /// The value is too large, or the store does not work.
    pub(crate) fn pack(
        &self,
        value: Vec<u8>,
        (headers, record_bytes): (&mut Headers, usize),
    ) -> anyhow::Result<Vec<u8>> {
        let store = match &self.store {
            Some(store) if store.takes(value.len(), record_bytes) => store,
            _ => return Ok(value),
        };
        let until = Instant::now() + PATIENCE;
        let object = store.put_in_time(&value, &|| Instant::now() < until);
        let object = object.map_err(in_words)?;
        let claim = Claim {
            path: object.path,
            length: object.length,
            sha256: object.sha256,
        };
        for (name, value) in claim.to_pairs() {
            headers.push(name, Some(value));
        }
        Ok(Vec::new())
    }

    /// The value of a record that succeeded, wherever it is.
    ///
    /// # Errors
    /// It cannot be had.
    pub(crate) fn value_of(&self, record: &mut Record) -> anyhow::Result<Vec<u8>> {
        let value = record.value.take().unwrap_or_default();
        if !value.is_empty() {
            return Ok(value);
        }
        let Some(claim) = Claim::parse(record.headers.iter())? else {
            return Ok(value);
        };
        let object = Object {
            path: claim.path,
            length: claim.length,
            sha256: claim.sha256,
        };
        let until = Instant::now() + PATIENCE;
        let value = self
            .store()?
            .get_in_time(&object, &|| Instant::now() < until);
        value.map_err(in_words)
    }
}

fn in_words(why: Unclaimed) -> anyhow::Error {
    match why {
        Unclaimed::Refused(error) => error.into(),
        Unclaimed::Unwanted => {
            let seconds = PATIENCE.as_secs();
            anyhow!("the store of large values could not be used for {seconds} s")
        }
    }
}

/// The store of these settings.
///
/// # Errors
/// There is none.
fn needed(settings: &ClaimSettings) -> anyhow::Result<Store> {
    match Store::open(settings, Metrics::default())? {
        Some(store) => Ok(store),
        None => bail!("no store of large values is set; name it with --set claims.url=<URL>"),
    }
}
