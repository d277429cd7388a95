//! Records of one partition that were read one after the other, in one piece of memory: reading
//! them allocates next to nothing, and freeing them is one call.

use std::ops::Range;
use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Message};

use crate::headers::{self, Headers};
use crate::intake::TopicPartition;
use crate::ledger::Place;
use crate::record::{OVERHEAD_BYTES, Record};

/// More names than this are not looked up, only kept: no record of ours has so many.
const MOST_KNOWN_NAMES: usize = 64;

/// Consecutive records of one partition. Offsets may have gaps.
#[derive(Clone, Debug)]
pub struct RecordBlock {
    partition: TopicPartition,
    /// Keys, values and values of headers, one after the other.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    headers: Vec<HeaderEntry>,
    /// Names of headers: the same ones in every record.
    names: Vec<Box<str>>,
}

#[derive(Clone, Debug)]
struct Entry {
    offset: i64,
    timestamp_unix_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
    /// What all records up to this one count against a budget.
    end_bytes: usize,
}

#[derive(Clone, Debug)]
struct HeaderEntry {
    name: usize,
    value: Option<Range<usize>>,
}

/// A record of a block, where it lies.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    block: &'a RecordBlock,
    index: usize,
}

impl RecordBlock {
    /// An empty block; takes records of this partition only.
    #[must_use]
    pub fn new(partition: TopicPartition) -> Self {
        Self {
            partition,
            bytes: Vec::new(),
            entries: Vec::new(),
            headers: Vec::new(),
            names: Vec::new(),
        }
    }

    /// An empty block with room for as much as this one holds: blocks are alike, and growing one
    /// copies it several times.
    pub(crate) fn as_large(&self, partition: TopicPartition) -> Self {
        Self {
            partition,
            bytes: Vec::with_capacity(self.bytes.len()),
            entries: Vec::with_capacity(self.entries.len()),
            headers: Vec::with_capacity(self.headers.len()),
            names: Vec::with_capacity(self.names.len()),
        }
    }

    /// The partition of all records.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The record at `index`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn get(&self, index: usize) -> RecordRef<'_> {
        assert!(index < self.len(), "record {index} of {}", self.len());
        RecordRef { block: self, index }
    }

    /// What these records count against a budget: see [`Record::size_bytes`].
    ///
    /// # Panics
    /// If one of them is not there.
    #[must_use]
    pub fn size_bytes(&self, records: Range<usize>) -> usize {
        let before = |index: usize| {
            index
                .checked_sub(1)
                .map_or(0, |last| self.entries[last].end_bytes)
        };
        before(records.end) - before(records.start)
    }

    /// Copies a record to the end.
    pub fn push(&mut self, record: &Record) {
        let headers = record.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_bytes(), value));
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let place = (record.offset, record.timestamp_unix_ms);
        self.append(place, (key, value), headers);
    }

    /// The one copy out of librdkafka's buffers.
    pub(crate) fn take(&mut self, message: &BorrowedMessage<'_>) {
        let place = (message.offset(), message.timestamp().to_millis());
        let content = (message.key(), message.payload());
        let headers = headers::of(message);
        let headers = headers.map(|(name, value)| (name.to_bytes(), value));
        self.append(place, content, headers);
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let entries = self.entries.iter();
        entries.map(|entry| (entry.offset, entry.timestamp_unix_ms))
    }

    fn append<'a>(
        &mut self,
        (offset, timestamp_unix_ms): (i64, Option<i64>),
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) {
        let end_bytes = self.entries.last().map_or(0, |last| last.end_bytes);
        let start = self.bytes.len();
        let key = key.map(|key| self.copy(key));
        let value = value.map(|value| self.copy(value));
        let first_header = self.headers.len();
        let mut name_bytes = 0;
        for (place, (name, value)) in headers.enumerate() {
            let value = value.map(|value| self.copy(value));
            let name = self.name(place, name);
            name_bytes += self.names[name].len();
            self.headers.push(HeaderEntry { name, value });
        }
        self.entries.push(Entry {
            offset,
            timestamp_unix_ms,
            key,
            value,
            headers: first_header..self.headers.len(),
            end_bytes: end_bytes + self.bytes.len() - start + name_bytes + OVERHEAD_BYTES,
        });
    }

    fn copy(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// The index of a header's name, which mostly stands at the same place in every record.
    fn name(&mut self, place: usize, name: &[u8]) -> usize {
        let is_it = |known: &str| known.as_bytes() == name;
        if self.names.get(place).is_some_and(|known| is_it(known)) {
            return place;
        }
        let mut known = self.names.iter().take(MOST_KNOWN_NAMES);
        known.position(|known| is_it(known)).unwrap_or_else(|| {
            self.names.push(String::from_utf8_lossy(name).into());
            self.names.len() - 1
        })
    }
}

impl<'a> RecordRef<'a> {
    /// Topic it was read from.
    #[must_use]
    pub fn topic(&self) -> &'a Arc<str> {
        &self.block.partition.topic
    }

    /// Partition it was read from.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.block.partition.partition
    }

    /// Offset within the partition.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.entry().offset
    }

    /// As [`Record::timestamp_unix_ms`].
    #[must_use]
    pub fn timestamp_unix_ms(&self) -> Option<i64> {
        self.entry().timestamp_unix_ms
    }

    /// Key, if the record has one.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        let key = self.entry().key.clone();
        key.map(|key| &self.block.bytes[key])
    }

    /// Value; `None` is a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        let value = self.entry().value.clone();
        value.map(|value| &self.block.bytes[value])
    }

    /// Names and values of the headers, in the order of the producer.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let block = self.block;
        let headers = block.headers[self.entry().headers.clone()].iter();
        headers.map(|header| {
            let value = header.value.clone().map(|value| &block.bytes[value]);
            (&*block.names[header.name], value)
        })
    }

    /// As [`Record::size_bytes`].
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.block.size_bytes(self.index..self.index + 1)
    }

    /// The record on its own.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let mut headers = Headers::new();
        for (name, value) in self.headers() {
            headers.push(name.to_owned(), value.map(<[u8]>::to_vec));
        }
        Record {
            topic: Arc::clone(self.topic()),
            partition: self.partition(),
            offset: self.offset(),
            timestamp_unix_ms: self.timestamp_unix_ms(),
            key: self.key().map(<[u8]>::to_vec),
            value: self.value().map(<[u8]>::to_vec),
            headers,
        }
    }

    fn entry(&self) -> &'a Entry {
        &self.block.entries[self.index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, headers: &[(&str, Option<&str>)]) -> Record {
        let mut all = Headers::new();
        for (name, value) in headers {
            all.push(
                (*name).to_owned(),
                value.map(|value| value.as_bytes().to_vec()),
            );
        }
        Record {
            topic: Arc::from("results"),
            partition: 3,
            offset,
            timestamp_unix_ms: (offset % 2 == 0).then_some(offset * 10),
            key: (offset % 3 == 0).then(|| vec![7; 4]),
            value: (offset % 4 != 0).then(|| format!("value of {offset}").into_bytes()),
            headers: all,
        }
    }

    fn block() -> RecordBlock {
        RecordBlock::new(TopicPartition {
            topic: Arc::from("results"),
            partition: 3,
        })
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let records = [
            record(0, &[]),
            record(4, &[("mr-id", Some("a")), ("mr-status", Some("OK"))]),
            record(
                5,
                &[
                    ("mr-status", Some("")),
                    ("mr-id", None),
                    ("mr-id", Some("b")),
                ],
            ),
            record(6, &[("mr-id", Some("c")), ("mr-status", Some("OK"))]),
        ];
        let mut block = block();
        for record in &records {
            block.push(record);
        }
        assert_eq!(block.len(), records.len());
        for (index, record) in records.iter().enumerate() {
            assert_eq!(block.get(index).to_record(), *record);
            assert_eq!(block.get(index).size_bytes(), record.size_bytes());
        }
        let all: usize = records.iter().map(Record::size_bytes).sum();
        assert_eq!(block.size_bytes(0..records.len()), all);
        assert_eq!(block.names.len(), 2, "names are kept once");
    }

    #[test]
    fn more_names_than_anybody_needs_are_kept_all_the_same() {
        let names: Vec<String> = (0..200).map(|index| format!("h{index}")).collect();
        let headers: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        let mut block = block();
        for offset in 0..3 {
            block.push(&record(offset, &headers));
        }
        for offset in 0..3 {
            let index = usize::try_from(offset).unwrap();
            assert_eq!(block.get(index).to_record(), record(offset, &headers));
        }
    }
}
