//! JSON Lines: a row is an object on a line of its own, or the bare value of a model's only input.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use arrow::array::{RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::de::IgnoredAny;

use super::carried::{Carried, json_metadata};
use super::instances::{Instance, Instances, ObjectWriter};
use super::json_object::{Member, members};
use super::lines::Lines;
use super::mapping::{Feed, FeedSource, resolve};
use super::sample::{Cell, SAMPLE_ROWS, Sample};
use super::{Carry, Chunk, LINE_COLUMN, Reading, Source};
use crate::progress::Total;

/// A JSON Lines file that is being read.
pub(super) struct JsonLines {
    lines: Lines,
    /// Columns in the order of their first occurrence.
    names: Vec<String>,
    instances: Instances,
    carried: Kept,
    chunk_rows: usize,
    next_row: u64,
    size_bytes: u64,
}

/// What is carried along.
enum Kept {
    Columns(Carried),
    Lines(StringBuilder, SchemaRef),
}

impl JsonLines {
    pub(super) fn open(path: &Path, reading: &Reading<'_>) -> anyhow::Result<Self> {
        let sample = sample(path)?;
        let feeds = match bare_input(reading, &sample) {
            Some(feed) => vec![feed],
            None => resolve(reading.signature, &reading.args.map, &sample.names)?,
        };
        let carried = match &reading.carry {
            Carry::Lines => {
                let line = Field::new(LINE_COLUMN, DataType::Utf8, false);
                let schema = Schema::new(vec![line.with_metadata(json_metadata())]);
                Kept::Lines(StringBuilder::new(), Arc::new(schema))
            }
            Carry::Typed(columns) | Carry::Text(columns) => {
                columns.check(&sample.names)?;
                let mut kinds = sample.kinds();
                if matches!(reading.carry, Carry::Text(_)) {
                    kinds.fill(super::sample::Kind::Text);
                }
                Kept::Columns(Carried::new(&sample.names, &kinds, columns))
            }
        };
        let mut lines = Lines::open(path)?;
        for _ in 0..reading.first_row {
            lines.next()?;
        }
        Ok(Self {
            lines,
            names: sample.names,
            instances: Instances::new(feeds),
            carried,
            chunk_rows: reading.chunk_rows,
            next_row: reading.first_row,
            size_bytes: path.metadata()?.len(),
        })
    }

    /// Takes in the current line.
    fn take(&mut self) -> Instance {
        let line = self.lines.number;
        let text = match self.lines.text() {
            Ok(text) => text,
            Err(sentence) => {
                self.carried.push_nothing(&self.lines.lossy());
                let json = Err(sentence);
                return Instance { line, json };
            }
        };
        let json = match members(text) {
            Ok(None) => bare(&self.instances, text),
            Ok(Some(members)) => object(&self.instances, &self.names, (text, &members)),
            Err((at, what)) => Err(format!("column {}: {what}", column(text, at))),
        };
        let carried = self.carried.push(&self.names, text);
        let json = json.and_then(|json| carried.map(|()| json));
        Instance { line, json }
    }
}

impl Source for JsonLines {
    fn carried(&self) -> SchemaRef {
        match &self.carried {
            Kept::Columns(carried) => carried.schema(),
            Kept::Lines(_, schema) => Arc::clone(schema),
        }
    }

    fn names(&self) -> Vec<String> {
        match &self.carried {
            Kept::Columns(carried) => {
                let schema = carried.schema();
                schema
                    .fields()
                    .iter()
                    .map(|field| field.name().clone())
                    .collect()
            }
            Kept::Lines(..) => self.names.clone(),
        }
    }

    fn total(&self) -> Total {
        Total::Bytes(self.size_bytes)
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        let mut instances = Vec::new();
        let mut texts = Vec::new();
        while instances.len() < self.chunk_rows && self.lines.next()? {
            instances.push(self.take());
            texts.push(self.lines.lossy());
        }
        if instances.is_empty() {
            return Ok(None);
        }
        let first_row = self.next_row;
        self.next_row += instances.len() as u64;
        let mut fitted = self.instances.read(&instances);
        for (row, sentence) in &mut fitted.failed {
            if let Some(place) = syntax_fault(&texts[*row]) {
                *sentence = format!("line {}, {place}", instances[*row].line);
            }
        }
        Ok(Some(Chunk {
            first_row,
            carried: self.carried.finish()?,
            inputs: fitted.inputs,
            failed: fitted.failed,
            bytes: self.lines.bytes,
        }))
    }
}

/// Whether the file's rows are bare values of the only input.
fn bare_input(reading: &Reading<'_>, sample: &Sample) -> Option<Feed> {
    let [spec] = reading.signature.inputs.as_slice() else {
        return None;
    };
    sample.names.is_empty().then(|| Feed {
        spec: spec.clone(),
        source: FeedSource::Column(0),
    })
}

fn bare(instances: &Instances, text: &str) -> Result<Vec<u8>, String> {
    let [feed] = instances.feeds() else {
        return Err("expected an object with the model's inputs".to_owned());
    };
    let mut object = ObjectWriter::new();
    object
        .key(&feed.spec.name)
        .extend_from_slice(text.as_bytes());
    Ok(object.finish())
}

/// The inputs of a line as one object.
fn object(
    instances: &Instances,
    names: &[String],
    (text, members): (&str, &[Member<'_>]),
) -> Result<Vec<u8>, String> {
    let value = |column: usize| {
        let name = names.get(column).map_or("", String::as_str);
        let mut found = members.iter().filter(|(key, _)| key == name);
        match (found.next(), found.next()) {
            (Some((_, range)), None) => Ok(&text[range.clone()]),
            (None, _) => Err(format!("there is no {name:?}")),
            (Some(_), Some(_)) => Err(format!("{name:?} is there twice")),
        }
    };
    let mut object = ObjectWriter::new();
    for feed in instances.feeds() {
        let out = object.key(&feed.spec.name);
        match &feed.source {
            FeedSource::Column(column) => out.extend_from_slice(value(*column)?.as_bytes()),
            FeedSource::Elements(columns) => {
                for (index, column) in columns.iter().enumerate() {
                    out.push(if index == 0 { b'[' } else { b',' });
                    out.extend_from_slice(value(*column)?.as_bytes());
                }
                out.push(b']');
            }
        }
    }
    Ok(object.finish())
}

/// Whether the line is no JSON at all, and where; bare NaN and Infinity are taken by the parser.
fn syntax_fault(text: &str) -> Option<String> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    let rest = text.get(error.column().saturating_sub(1)..).unwrap_or("");
    if rest.starts_with("NaN") || rest.starts_with("Infinity") || text.contains("NaN") {
        return None;
    }
    let what = error.to_string();
    let what = what
        .split(" at line ")
        .next()
        .unwrap_or("no JSON")
        .to_owned();
    Some(format!("column {}: {what}", error.column().max(1)))
}

/// A byte's place in its line, in characters from 1.
fn column(text: &str, at: usize) -> usize {
    text.get(..at).map_or(at, |before| before.chars().count()) + 1
}

impl Kept {
    fn push(&mut self, names: &[String], text: &str) -> Result<(), String> {
        match self {
            Self::Lines(builder, _) => {
                builder.append_value(text);
                Ok(())
            }
            Self::Columns(carried) => {
                let members = members(text).ok().flatten().unwrap_or_default();
                carried.push(|place| {
                    let (_, range) = members.iter().find(|(key, _)| *key == names[place])?;
                    Some(Cell::Json(&text[range.clone()]))
                })
            }
        }
    }

    /// A row of which nothing can be carried.
    fn push_nothing(&mut self, lossy: &str) {
        match self {
            Self::Lines(builder, _) => builder.append_value(lossy),
            Self::Columns(carried) => {
                // Nulls fit everywhere.
                let _ = carried.push(|_| None);
            }
        }
    }

    fn finish(&mut self) -> anyhow::Result<RecordBatch> {
        match self {
            Self::Columns(carried) => carried.finish(),
            Self::Lines(builder, schema) => {
                let lines = Arc::new(builder.finish());
                Ok(RecordBatch::try_new(Arc::clone(schema), vec![lines])?)
            }
        }
    }
}

/// The columns of the first rows, and their types.
fn sample(path: &Path) -> anyhow::Result<Sample> {
    let mut lines = Lines::open(path)?;
    let mut sample = Sample::default();
    let mut rows = 0;
    while rows < SAMPLE_ROWS && lines.next()? {
        rows += 1;
        let Ok(text) = lines.text() else { continue };
        let Ok(Some(members)) = members(text) else {
            continue;
        };
        for (key, range) in members {
            sample.see(&key, Cell::Json(&text[range]));
        }
    }
    if rows == 0 {
        bail!("{} has no rows", path.display());
    }
    Ok(sample)
}
