//! What runs right now, written to a file before it runs: one small file per engine thread, of which a page stays in the
//! kernel's memory when this process dies. Two system calls per batch; nothing is waited for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use tracing::warn;

use super::watch::Slot;

/// Consecutive offsets of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) partition: i32,
    pub(crate) first: i64,
    pub(crate) records: u32,
}

/// What a process was doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A batch of these records of a topic was in the engine.
    Running {
        model: String,
        version: i64,
        topic: String,
        spans: Vec<Span>,
    },
    /// A model version was being loaded; the fingerprint tells its files from others of the same number.
    Loading {
        model: String,
        version: i64,
        fingerprint: String,
    },
}

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const LOADING: u8 = 2;
/// More spans are not written: the file stays small, and the records of this many are suspects enough.
const MOST_SPANS: usize = 4096;
/// A record belongs to one of so many newest spans or begins one: a batch mixes a few partitions, each in its order.
const OPEN_SPANS: usize = 16;

/// The file of one engine thread.
#[derive(Debug)]
pub(crate) struct Journal {
    /// `None` where there is no state folder, and after a failed write.
    file: Option<File>,
    path: PathBuf,
    /// Begins with what is the same for every batch.
    buffer: Vec<u8>,
    prefix: usize,
    /// Kept for its memory.
    spans: Vec<Span>,
    slot: Arc<Slot>,
}

impl Journal {
    /// For the batches of one engine thread. Without a file only the time is watched.
    pub(super) fn of_batches(
        file: Option<(File, PathBuf)>,
        slot: Arc<Slot>,
        (model, version): (&str, i64),
    ) -> Self {
        let mut buffer = vec![RUNNING];
        push_text(&mut buffer, model);
        buffer.extend(version.to_le_bytes());
        let (file, path) = file.unzip();
        Self {
            file,
            path: path.unwrap_or_default(),
            prefix: buffer.len(),
            buffer,
            spans: Vec::new(),
            slot,
        }
    }

    /// For one load, which has begun with this.
    pub(super) fn of_load(
        file: Option<(File, PathBuf)>,
        slot: Arc<Slot>,
        (model, version, fingerprint): (&str, i64, &str),
    ) -> Self {
        let mut buffer = vec![LOADING];
        push_text(&mut buffer, model);
        buffer.extend(version.to_le_bytes());
        push_text(&mut buffer, fingerprint);
        let (file, path) = file.unzip();
        let mut journal = Self {
            file,
            path: path.unwrap_or_default(),
            prefix: buffer.len(),
            buffer,
            spans: Vec::new(),
            slot,
        };
        journal.write();
        journal.slot.begin();
        journal
    }

    /// Notes that these records of a topic (partition and offset) are about to run, until the answer is dropped.
    pub(crate) fn begin(
        &mut self,
        topic: &str,
        records: impl Iterator<Item = (i32, i64)>,
    ) -> Running<'_> {
        self.buffer.truncate(self.prefix);
        push_text(&mut self.buffer, topic);
        merge(&mut self.spans, records);
        push_spans(&mut self.buffer, &self.spans);
        self.write();
        self.slot.begin();
        Running { journal: self }
    }

    fn write(&mut self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.write_all_at(&self.buffer, 0) {
            warn!(file = %self.path.display(), %error, "what runs cannot be noted: a crash will not be traced to its record");
            self.file = None;
        }
    }

    fn end(&mut self) {
        self.slot.end();
        if let Some(file) = &self.file {
            // If this fails, records that did no harm are tried apart after the next crash.
            let _ = file.write_all_at(&[IDLE], 0);
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end();
        if self.file.is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A batch that is in the engine.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    journal: &'a mut Journal,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.journal.end();
    }
}

fn push_text(buffer: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    buffer.extend(length.to_le_bytes());
    buffer.extend(text.as_bytes());
}

/// The spans of these records, in the order in which they begin.
fn merge(spans: &mut Vec<Span>, records: impl Iterator<Item = (i32, i64)>) {
    spans.clear();
    for (partition, offset) in records {
        let mut newest = spans.iter_mut().rev().take(OPEN_SPANS);
        // A further piece of its last record, or the record after it.
        let known = newest
            .find(|span| span.partition == partition && (0..=1).contains(&(offset - span.last())));
        if let Some(span) = known {
            span.records += u32::from(offset > span.last());
            continue;
        }
        if spans.len() == MOST_SPANS {
            break;
        }
        spans.push(Span {
            partition,
            first: offset,
            records: 1,
        });
    }
}

fn push_spans(buffer: &mut Vec<u8>, spans: &[Span]) {
    let count = u32::try_from(spans.len()).unwrap_or(u32::MAX);
    buffer.extend(count.to_le_bytes());
    for span in spans {
        push_span(buffer, *span);
    }
}

fn push_span(buffer: &mut Vec<u8>, span: Span) {
    buffer.extend(span.partition.to_le_bytes());
    buffer.extend(span.first.to_le_bytes());
    buffer.extend(span.records.to_le_bytes());
}

impl Span {
    fn last(self) -> i64 {
        self.first + i64::from(self.records) - 1
    }

    pub(crate) fn offsets(self) -> impl Iterator<Item = i64> {
        self.first..=self.last()
    }
}

/// Reads the file of a process that has ended; `None` if nothing ran.
///
/// # Errors
/// When it is not such a file.
pub(crate) fn read(bytes: &[u8]) -> io::Result<Option<Entry>> {
    let mut reader = Reader { bytes };
    let kind = match bytes.first() {
        None | Some(&IDLE) => return Ok(None),
        Some(_) => u8::from_le_bytes(reader.take()?),
    };
    let model = reader.text()?;
    let version = i64::from_le_bytes(reader.take()?);
    let text = reader.text()?;
    match kind {
        RUNNING => {
            let count = u32::from_le_bytes(reader.take()?);
            let mut spans = Vec::new();
            for _ in 0..count {
                spans.push(reader.span()?);
            }
            Ok(Some(Entry::Running {
                model,
                version,
                topic: text,
                spans,
            }))
        }
        LOADING => Ok(Some(Entry::Loading {
            model,
            version,
            fingerprint: text,
        })),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (head, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        self.bytes = rest;
        Ok(*head)
    }

    fn text(&mut self) -> io::Result<String> {
        let length = u32::from_le_bytes(self.take()?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (text, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        self.bytes = rest;
        String::from_utf8(text.to_vec()).map_err(io::Error::other)
    }

    fn span(&mut self) -> io::Result<Span> {
        let span = Span {
            partition: i32::from_le_bytes(self.take()?),
            first: i64::from_le_bytes(self.take()?),
            records: u32::from_le_bytes(self.take()?),
        };
        let is_sound = span.partition >= 0
            && span.first >= 0
            && (1..=1 << 20).contains(&span.records)
            && span.first.checked_add(i64::from(span.records)).is_some();
        if is_sound {
            Ok(span)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn slot() -> Arc<Slot> {
        Arc::new(Slot::new("test".to_owned(), Duration::from_secs(600)))
    }

    fn file(dir: &tempfile::TempDir) -> (File, PathBuf) {
        let path = dir.path().join("0");
        (File::create(&path).unwrap(), path)
    }

    fn span(partition: i32, first: i64, records: u32) -> Span {
        Span {
            partition,
            first,
            records,
        }
    }

    #[test]
    fn the_file_says_what_runs_and_nothing_once_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = file(&dir);
        let mut journal = Journal::of_batches(Some((file, path.clone())), slot(), ("digits", 3));
        let records = [(0, 7), (0, 7), (0, 8), (1, 100), (0, 9), (0, 11)];
        let running = journal.begin("a.requests.digits", records.into_iter());
        let entry = read(&fs::read(&path).unwrap()).unwrap().unwrap();
        let spans = vec![span(0, 7, 3), span(1, 100, 1), span(0, 11, 1)];
        assert_eq!(
            entry,
            Entry::Running {
                model: "digits".to_owned(),
                version: 3,
                topic: "a.requests.digits".to_owned(),
                spans,
            }
        );
        drop(running);
        assert_eq!(read(&fs::read(&path).unwrap()).unwrap(), None);
        drop(journal.begin("a", [(2, 5)].into_iter()));
        drop(journal);
        assert!(!path.exists(), "nothing is left");
    }

    #[test]
    fn noting_a_full_batch_takes_microseconds() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::of_batches(Some(file(&dir)), slot(), ("m", 1));
        let start = std::time::Instant::now();
        for batch in 0..1_000 {
            // Four partitions in turn, as they come out of the queue.
            let records = (0..128).map(|record| (record % 4, batch * 32 + i64::from(record / 4)));
            drop(journal.begin("requests.m", records));
        }
        let per_batch = start.elapsed() / 1_000;
        println!("noting 128 records and that they are done: {per_batch:?}");
        assert!(per_batch < Duration::from_millis(1), "{per_batch:?}");
    }

    #[test]
    fn a_load_is_noted_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = file(&dir);
        let journal = Journal::of_load(Some((file, path.clone())), slot(), ("digits", 4, "abc"));
        let expected = Entry::Loading {
            model: "digits".to_owned(),
            version: 4,
            fingerprint: "abc".to_owned(),
        };
        assert_eq!(read(&fs::read(&path).unwrap()).unwrap(), Some(expected));
        drop(journal);
        assert!(!path.exists());
    }

    #[test]
    fn any_other_bytes_are_an_error_and_never_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = file(&dir);
        let mut journal = Journal::of_batches(Some((file, path.clone())), slot(), ("m", 1));
        let _running = journal.begin("t", [(0, 1)].into_iter());
        let whole = fs::read(&path).unwrap();
        for end in 1..whole.len() {
            assert!(read(&whole[..end]).is_err(), "cut at {end}");
        }
        for (index, byte) in (0..whole.len()).flat_map(|index| [(index, 0xff), (index, 0x80)]) {
            let mut bytes = whole.clone();
            bytes[index] = byte;
            let _ = read(&bytes);
        }
    }
}
