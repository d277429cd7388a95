//! Rows as messages: JSON objects, Avro, Arrow streams.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow_avro::errors::AvroError;
use arrow_avro::schema::{
    AVRO_FIELD_DEFAULT_METADATA_KEY, AVRO_NAME_METADATA_KEY, AVRO_NAMESPACE_METADATA_KEY,
    AvroSchema, FingerprintStrategy,
};
use arrow_avro::writer::format::AvroSoeFormat;
use millrace_wire::headers::ARROW_STREAM;
use schema_registry_converter::error::SRCError;

use super::registry::Registry;
use super::settings::{TopicFormat, TopicSettings};
use crate::projection::{fixed, text};

/// One record to be.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    /// The id of the request.
    pub(super) id: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
}

/// Why rows cannot become messages.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    /// A value that the format cannot express.
    #[error("the rows cannot be encoded: {0}")]
    Rows(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Columns that have no Avro schema.
    #[error("the columns have no Avro schema: {0}; rename them in `columns`")]
    Schema(#[source] ArrowError),
    #[error("schema registry {url} did not take the schema of subject {subject}: {}", words(.source))]
    Registry {
        url: String,
        subject: String,
        /// Whether it may do so later.
        transient: bool,
        #[source]
        source: SRCError,
    },
}

fn words(error: &SRCError) -> String {
    match &error.cause {
        Some(cause) => format!("{} ({cause})", error.error),
        None => error.error.clone(),
    }
}

impl From<ArrowError> for EncodeError {
    fn from(error: ArrowError) -> Self {
        Self::Rows(error.into())
    }
}

impl From<AvroError> for EncodeError {
    fn from(error: AvroError) -> Self {
        Self::Rows(error.into())
    }
}

pub(super) enum Encoder {
    Json,
    Arrow,
    Avro(Avro),
}

impl Encoder {
    pub(super) fn new(settings: &TopicSettings) -> anyhow::Result<Self> {
        Ok(match (settings.format, &settings.registry) {
            (TopicFormat::Avro, Some(registry)) => Self::Avro(Avro {
                registry: Registry::open(registry, &settings.topic)?,
                schemas: Vec::new(),
            }),
            (TopicFormat::Arrow, _) => Self::Arrow,
            _ => Self::Json,
        })
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Arrow => ARROW_STREAM,
            Self::Avro(_) => "application/vnd.confluent.avro",
        }
    }

    /// The messages of a batch, in order.
    pub(super) fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<Message>, EncodeError> {
        match self {
            Self::Json => json_objects(rows),
            Self::Arrow => arrow_streams(rows),
            Self::Avro(avro) => avro.encode(rows),
        }
    }
}

fn json_objects(rows: &RecordBatch) -> Result<Vec<Message>, EncodeError> {
    let text = text::json_lines(rows)?;
    // A line break inside a value is escaped.
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    Ok(messages(rows, lines.map(<[u8]>::to_vec)))
}

/// One stream per result: its rows follow each other.
fn arrow_streams(rows: &RecordBatch) -> Result<Vec<Message>, EncodeError> {
    let mut streams = Vec::new();
    let mut start = 0;
    for same in fixed::offsets(rows).chunk_by(|a, b| a == b) {
        let result = rows.slice(start, same.len());
        start += same.len();
        let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
        writer.write(&result)?;
        streams.extend(messages(&result, [writer.into_inner()?]));
    }
    Ok(streams)
}

/// Pairs the values with the ids and keys of the first rows.
fn messages(rows: &RecordBatch, values: impl IntoIterator<Item = Vec<u8>>) -> Vec<Message> {
    let ids = rows["id"].as_string::<i32>();
    let keys = rows["key"].as_binary::<i32>();
    let message = |(row, value)| Message {
        id: ids.value(row).to_owned(),
        key: keys.is_valid(row).then(|| keys.value(row).to_vec()),
        value,
    };
    values.into_iter().enumerate().map(message).collect()
}

/// Avro in Confluent's wire format.
pub(super) struct Avro {
    registry: Registry,
    /// Few: a model seldom changes its outputs.
    schemas: Vec<Registered>,
}

#[derive(Clone)]
struct Registered {
    /// The columns of the rows.
    columns: SchemaRef,
    /// The same columns with what Avro needs to know.
    schema: SchemaRef,
    id: u32,
}

impl Avro {
    fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<Message>, EncodeError> {
        let registered = self.register(&rows.schema())?;
        avro_messages(rows, &registered.schema, registered.id)
    }

    fn register(&mut self, schema: &SchemaRef) -> Result<Registered, EncodeError> {
        if let Some(known) = self.schemas.iter().find(|known| known.columns == *schema) {
            return Ok(known.clone());
        }
        let described = Arc::new(described(schema));
        let avro = AvroSchema::try_from(described.as_ref()).map_err(EncodeError::Schema)?;
        let registered = Registered {
            id: self.registry.id_of(&avro.json_string)?,
            columns: Arc::clone(schema),
            schema: described,
        };
        self.schemas.push(registered.clone());
        Ok(registered)
    }
}

/// The rows under a schema of [`described`] columns that has this id.
pub(super) fn avro_messages(
    rows: &RecordBatch,
    schema: &SchemaRef,
    id: u32,
) -> Result<Vec<Message>, EncodeError> {
    let mut encoder = arrow_avro::writer::WriterBuilder::new(Schema::clone(schema))
        .with_fingerprint_strategy(FingerprintStrategy::Id(id))
        .build_encoder::<AvroSoeFormat>()?;
    encoder.encode(&rows.clone().with_schema(Arc::clone(schema))?)?;
    let encoded = encoder.flush();
    Ok(messages(rows, encoded.iter().map(|row| row.to_vec())))
}

/// With the record's name, and null as the default of what may be null: so a
/// schema with one more output is compatible with the one before.
pub(super) fn described(schema: &Schema) -> Schema {
    let with_default = |field: &Arc<Field>| {
        let field = Field::clone(field);
        if !field.is_nullable() {
            return field;
        }
        let mut metadata = field.metadata().clone();
        metadata.insert(
            AVRO_FIELD_DEFAULT_METADATA_KEY.to_owned(),
            "null".to_owned(),
        );
        field.with_metadata(metadata)
    };
    let fields: Vec<Field> = schema.fields().iter().map(with_default).collect();
    let names = HashMap::from([
        (AVRO_NAME_METADATA_KEY.to_owned(), "Result".to_owned()),
        (
            AVRO_NAMESPACE_METADATA_KEY.to_owned(),
            "millrace".to_owned(),
        ),
    ]);
    Schema::new_with_metadata(fields, names)
}
