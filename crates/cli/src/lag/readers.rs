//! Who reads what: infer reads requests, the pipelines of sink read results.

use crate::connection::Connection;
use crate::exit::Exit;
use crate::lane::Lane;

/// A consumer group and one topic that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    /// `infer`, or `sink` and the name of a pipeline.
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) group: String,
    pub(crate) topic: String,
}

/// Where a reader is in one partition.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) reader: Reader,
    pub(crate) partition: i32,
    /// Next offset that it will read; `None` as long as it has finished nothing.
    pub(crate) committed: Option<i64>,
    /// Offset of the earliest record.
    pub(crate) start: i64,
    /// Offset after the last record.
    pub(crate) end: i64,
    /// Records that it has not finished.
    pub(crate) waiting: i64,
}

impl Place {
    /// The next offset that it will read.
    pub(crate) fn next(&self) -> i64 {
        self.committed.unwrap_or(self.start).max(self.start)
    }
}

impl Reader {
    pub(crate) fn places(&self, connection: &Connection) -> anyhow::Result<Vec<Place>> {
        let lag = connection.admin.lag(&self.group, &self.topic)?;
        let place = |it: millrace_kafka::PartitionLag| Place {
            reader: self.clone(),
            partition: it.partition,
            committed: it.committed,
            start: it.start,
            end: it.end,
            waiting: it.lag,
        };
        Ok(lag.into_iter().map(place).collect())
    }
}

/// All readers of these models, of all without any: infer for each topic of requests, that of the
/// bulk lane only where something was ever written or read, and each pipeline of sink for the results that it has begun to read.
///
/// # Errors
/// There are no such models.
pub(crate) fn find(connection: &Connection, models: &[String]) -> anyhow::Result<Vec<Reader>> {
    let mut known = connection.models()?;
    if let Some(missing) = models.iter().find(|model| !known.contains(*model)) {
        return Err(Exit::Missing.error(format!(
            "there is no topic {}; millrace topics apply --model {missing} makes it",
            connection.topic(&format!("requests.{missing}"))
        )));
    }
    if !models.is_empty() {
        known.retain(|model| models.contains(model));
    }
    let mut readers = Vec::new();
    for model in &known {
        let [interactive, bulk] = Lane::ALL.map(|lane| infer(connection, model, lane));
        readers.push(interactive);
        if is_used(connection, &bulk)? {
            readers.push(bulk);
        }
    }
    let start = connection.topic("sink.");
    for group in connection.admin.groups(&start)? {
        let name = group.name.strip_prefix(&start).unwrap_or(&group.name);
        for model in &known {
            let reader = Reader {
                name: format!("sink {name}"),
                model: model.clone(),
                topic: connection.topic(&format!("results.{model}")),
                group: group.name.clone(),
            };
            if has_begun(connection, &reader)? {
                readers.push(reader);
            }
        }
    }
    Ok(readers)
}

fn infer(connection: &Connection, model: &str, lane: Lane) -> Reader {
    let name = match lane {
        Lane::Interactive => "infer",
        Lane::Bulk => "infer bulk",
    };
    Reader {
        name: name.to_owned(),
        model: model.to_owned(),
        group: connection.topic(&format!("infer.{model}{}", lane.end())),
        topic: connection.topic(&lane.requests(model)),
    }
}

fn is_used(connection: &Connection, reader: &Reader) -> anyhow::Result<bool> {
    match connection.admin.lag(&reader.group, &reader.topic) {
        Ok(lag) => Ok(lag.iter().any(|it| it.end > 0 || it.committed.is_some())),
        Err(millrace_kafka::Error::NoTopic { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Kafka does not say which topics a group means to read, only where it has been.
fn has_begun(connection: &Connection, reader: &Reader) -> anyhow::Result<bool> {
    match connection.admin.committed(&reader.group, &reader.topic) {
        Ok(committed) => Ok(!committed.is_empty()),
        Err(millrace_kafka::Error::NoTopic { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
