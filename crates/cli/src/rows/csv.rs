//! CSV files with a line of names.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use anyhow::{Context, bail};
use arrow::datatypes::SchemaRef;
use csv::{ByteRecord, Reader, ReaderBuilder};

use super::carried::Carried;
use super::cells::{push_element, push_list};
use super::instances::{Instance, Instances, ObjectWriter};
use super::mapping::{Feed, FeedSource, resolve};
use super::sample::{Cell, Kind, SAMPLE_ROWS, Sample};
use super::{Carry, Chunk, Reading, Source};
use crate::progress::Total;

type Records = Reader<BufReader<File>>;

/// A CSV file that is being read.
pub(super) struct Csv {
    records: Records,
    shown: String,
    names: Vec<String>,
    instances: Instances,
    carried: Carried,
    chunk_rows: usize,
    next_row: u64,
    size_bytes: u64,
}

impl Csv {
    pub(super) fn open(path: &Path, reading: &Reading<'_>) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let (mut records, names) = begin(path)?;
        let columns = reading.carry.columns();
        columns.check(&names)?;
        let feeds = resolve(reading.signature, &reading.args.map, &names)?;
        let kinds = match reading.carry {
            Carry::Typed(_) => kinds(path, &names)?,
            Carry::Text(_) | Carry::Lines => vec![Kind::Text; names.len()],
        };
        let mut record = ByteRecord::new();
        for _ in 0..reading.first_row {
            read(&mut records, &mut record, &shown)?;
        }
        Ok(Self {
            carried: Carried::new(&names, &kinds, columns),
            instances: Instances::new(feeds),
            records,
            shown,
            names,
            chunk_rows: reading.chunk_rows,
            next_row: reading.first_row,
            size_bytes: path.metadata()?.len(),
        })
    }

    /// The inputs of one record in JSON; the columns that are wrong are named.
    fn instance(&self, record: &ByteRecord, carried: Result<(), String>) -> Instance {
        let line = record.position().map_or(0, csv::Position::line);
        let json = self.json(record);
        Instance {
            line,
            // What the model gets says more than what goes beside it.
            json: json.and_then(|json| carried.map(|()| json)),
        }
    }

    fn json(&self, record: &ByteRecord) -> Result<Vec<u8>, String> {
        if record.len() != self.names.len() {
            return Err(format!(
                "the row has {} fields, the line of names has {}",
                record.len(),
                self.names.len()
            ));
        }
        let mut object = ObjectWriter::new();
        for feed in self.instances.feeds() {
            let out = object.key(&feed.spec.name);
            self.push(feed, record, out)?;
        }
        Ok(object.finish())
    }

    fn push(&self, feed: &Feed, record: &ByteRecord, out: &mut Vec<u8>) -> Result<(), String> {
        let named = |column: usize| {
            move |what: String| format!("column {} ({}): {what}", self.names[column], column + 1)
        };
        match &feed.source {
            FeedSource::Column(column) => {
                let cell = text(record, *column).map_err(named(*column))?;
                let pushed = match feed.spec.shape.len() {
                    1 => push_element(cell, feed.spec.dtype, out),
                    _ => push_list(cell, out),
                };
                pushed.map_err(named(*column))
            }
            FeedSource::Elements(columns) => {
                for (index, &column) in columns.iter().enumerate() {
                    out.push(if index == 0 { b'[' } else { b',' });
                    let cell = text(record, column).map_err(named(column))?;
                    push_element(cell, feed.spec.dtype, out).map_err(named(column))?;
                }
                out.push(b']');
                Ok(())
            }
        }
    }
}

impl Source for Csv {
    fn carried(&self) -> SchemaRef {
        self.carried.schema()
    }

    fn total(&self) -> Total {
        Total::Bytes(self.size_bytes)
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        let mut instances = Vec::new();
        let mut record = ByteRecord::new();
        while instances.len() < self.chunk_rows
            && read(&mut self.records, &mut record, &self.shown)?
        {
            let carried = self
                .carried
                .push(|place| text(&record, place).ok().map(Cell::Csv));
            instances.push(self.instance(&record, carried));
        }
        if instances.is_empty() {
            return Ok(None);
        }
        let first_row = self.next_row;
        self.next_row += instances.len() as u64;
        let fitted = self.instances.read(&instances);
        Ok(Some(Chunk {
            first_row,
            carried: self.carried.finish()?,
            inputs: fitted.inputs,
            failed: fitted.failed,
            bytes: self.records.position().byte(),
        }))
    }
}

/// Opens the file and reads its line of names.
fn begin(path: &Path) -> anyhow::Result<(Records, Vec<String>)> {
    let shown = path.display();
    let mut file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    skip_mark(&mut file)?;
    let tabs = path.extension().is_some_and(|extension| extension == "tsv");
    let mut records = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(if tabs { b'\t' } else { b',' })
        .from_reader(BufReader::with_capacity(1 << 20, file));
    let mut header = ByteRecord::new();
    if !read(&mut records, &mut header, &shown.to_string())? {
        bail!("{shown} is empty; its first line must name the columns");
    }
    let mut names = Vec::with_capacity(header.len());
    for (index, name) in header.iter().enumerate() {
        let name = std::str::from_utf8(name);
        let name = name.map_err(|_| {
            anyhow::anyhow!(
                "{shown}, line 1, column {}: the name is not UTF-8",
                index + 1
            )
        })?;
        if name.is_empty() || names.iter().any(|known| known == name) {
            bail!(
                "{shown}, line 1, column {}: {name:?} is empty or there twice; every column needs a name of its own",
                index + 1
            );
        }
        names.push(name.to_owned());
    }
    Ok((records, names))
}

/// Spreadsheet programs put a byte order mark before the text.
fn skip_mark(file: &mut File) -> anyhow::Result<()> {
    let mut mark = Vec::new();
    file.by_ref().take(3).read_to_end(&mut mark)?;
    if mark != [0xef, 0xbb, 0xbf] {
        file.rewind()?;
    }
    Ok(())
}

/// The next record, if there is one.
fn read(records: &mut Records, record: &mut ByteRecord, shown: &str) -> anyhow::Result<bool> {
    records
        .read_byte_record(record)
        .with_context(|| format!("cannot read {shown}"))
}

fn text(record: &ByteRecord, column: usize) -> Result<&str, String> {
    let cell = record.get(column).ok_or("the row is too short")?;
    std::str::from_utf8(cell).map_err(|_| "the cell is not UTF-8".to_owned())
}

fn kinds(path: &Path, names: &[String]) -> anyhow::Result<Vec<Kind>> {
    let (mut records, _) = begin(path)?;
    let mut sample = Sample::default();
    for name in names {
        sample.see(name, Cell::Csv(""));
    }
    let mut record = ByteRecord::new();
    for _ in 0..SAMPLE_ROWS {
        if !read(&mut records, &mut record, &path.display().to_string())? {
            break;
        }
        for (index, name) in names.iter().enumerate() {
            if let Ok(cell) = text(&record, index) {
                sample.see(name, Cell::Csv(cell));
            }
        }
    }
    Ok(sample.kinds())
}
