//! File names that carry the progress: topic, partition, first and last offset, so that a listing tells where to go on.

use std::fmt::Write;

use millrace_kafka::TopicPartition;

/// File names end at 255 bytes; what follows the topic needs up to 100 of them.
const LONGEST_TOPIC_IN_FILE_NAME: usize = 150;

/// Leaves room for the key of a partition folder in its name.
const LONGEST_VALUE_IN_FOLDER_NAME: usize = 180;

const OFFSET_DIGITS: usize = 20;

/// What other programs take for "no value" in the name of a partition folder.
pub(super) const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Extensions of finished files, whatever the format is today.
pub(super) const EXTENSIONS: [&str; 4] = ["parquet", "arrow", "jsonl", "csv"];

/// What the name of a file of a partition says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// Everything to this offset is stored: the last file of a batch to become visible, or the
    /// mark of a batch without rows.
    DoneTo(i64),
    /// A file of a batch whose last file may be missing.
    Part,
    /// A batch of several files that ends at `last` was being made visible, under a layout.
    Plan { last: i64, layout: &'a str },
    /// Never finished.
    Temporary,
}

/// Whether more files of the same batch become visible after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Before,
    Last,
}

/// The name of a file that covers the offsets `first..=last`, or some of their rows.
pub(super) fn finished(
    partition: &TopicPartition,
    offsets: (i64, i64),
    order: Order,
    extension: &str,
) -> String {
    let part = match order {
        Order::Before => "-part",
        Order::Last => "",
    };
    format!("{}{part}.{extension}", stem_of(partition, offsets))
}

/// The name of the mark for offsets without rows: hidden, and empty.
pub(super) fn without_rows(partition: &TopicPartition, offsets: (i64, i64)) -> String {
    format!(".{}.none", stem_of(partition, offsets))
}

/// The name of the note that a batch of several files is being made visible.
pub(super) fn plan(partition: &TopicPartition, offsets: (i64, i64), layout: &str) -> String {
    format!(".{}.{layout}.plan", stem_of(partition, offsets))
}

/// The name of a file being written: hidden, and different for every owner.
pub(super) fn temporary(
    partition: &TopicPartition,
    first: i64,
    number: usize,
    owner: &str,
) -> String {
    format!(".{}{first:020}-{number}-{owner}.tmp", stem(partition))
}

/// The name of the file that says which process owns the partition.
pub(super) fn owner(partition: &TopicPartition) -> String {
    format!(".{}owner", stem(partition))
}

/// With what the names of a partition's visible files begin.
pub(super) fn stem(partition: &TopicPartition) -> String {
    let mut topic = folder_name(&partition.topic);
    topic.truncate(LONGEST_TOPIC_IN_FILE_NAME);
    format!("{topic}-{:05}-", partition.partition)
}

/// What a name says; `None` for names of other partitions and of other programs.
pub(super) fn read<'a>(name: &'a str, partition: &TopicPartition) -> Option<Meaning<'a>> {
    let stem = stem(partition);
    match name.strip_prefix('.') {
        None => read_visible(name.strip_prefix(&stem)?),
        Some(hidden) => read_hidden(hidden.strip_prefix(&stem)?),
    }
}

fn read_visible(rest: &str) -> Option<Meaning<'_>> {
    let (range, extension) = rest.split_once('.')?;
    if !EXTENSIONS.contains(&extension) {
        return None;
    }
    match range.strip_suffix("-part") {
        Some(range) => read_range(range).map(|_| Meaning::Part),
        None => read_range(range).map(|(_, last)| Meaning::DoneTo(last)),
    }
}

fn read_hidden(rest: &str) -> Option<Meaning<'_>> {
    if let Some(range) = rest.strip_suffix(".none") {
        return read_range(range).map(|(_, last)| Meaning::DoneTo(last));
    }
    if let Some(plan) = rest.strip_suffix(".plan") {
        let (range, layout) = plan.split_once('.')?;
        return read_range(range).map(|(_, last)| Meaning::Plan { last, layout });
    }
    let mut parts = rest.strip_suffix(".tmp")?.split('-');
    let (first, number, owner) = (parts.next()?, parts.next()?, parts.next()?);
    let ours = parse_offset(first).is_some()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && owner.len() == 32
        && owner.bytes().all(|byte| byte.is_ascii_hexdigit())
        && parts.next().is_none();
    ours.then_some(Meaning::Temporary)
}

/// The folder of a topic, or the value in the name of a partition folder: percent-encoded where
/// it could leave its parent, hide, or be refused by a file system.
pub(super) fn folder_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let end = text.len().saturating_sub(1);
    for (index, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_')
            || (byte == b'.' && index > 0 && index < end);
        if plain {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    name
}

/// `key=value`; a value too long for a name is cut and ends in a number made of all of it.
pub(super) fn partition_folder(key: &str, value: Option<&str>) -> String {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return format!("{key}={NO_VALUE}");
    };
    let mut name = folder_name(value);
    if name.len() > LONGEST_VALUE_IN_FOLDER_NAME {
        name.truncate(LONGEST_VALUE_IN_FOLDER_NAME);
        // Not in the middle of an escaped byte.
        if let Some(escape) = name[name.len() - 2..].find('%') {
            name.truncate(name.len() - 2 + escape);
        }
        write!(name, "_{:016x}", fnv1a(value.as_bytes())).expect("writing to a String cannot fail");
    }
    format!("{key}={name}")
}

/// A number that is the same in every version of this program
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn stem_of(partition: &TopicPartition, (first, last): (i64, i64)) -> String {
    format!("{}{first:020}-{last:020}", stem(partition))
}

fn read_range(range: &str) -> Option<(i64, i64)> {
    let (first, last) = range.split_once('-')?;
    let (first, last) = (parse_offset(first)?, parse_offset(last)?);
    (first <= last).then_some((first, last))
}

fn parse_offset(text: &str) -> Option<i64> {
    let digits = text.len() == OFFSET_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::partition;

    const OWNER: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn finished_name_carries_topic_partition_and_offsets() {
        let own = partition("mill.results.digits", 3);
        let name = finished(&own, (7, 120), Order::Last, "parquet");
        assert_eq!(
            name,
            "mill.results.digits-00003-00000000000000000007-00000000000000000120.parquet"
        );
        assert_eq!(read(&name, &own), Some(Meaning::DoneTo(120)));
        let part = finished(&own, (7, 120), Order::Before, "csv");
        assert_eq!(read(&part, &own), Some(Meaning::Part));
        let none = without_rows(&own, (7, 9));
        assert_eq!(read(&none, &own), Some(Meaning::DoneTo(9)));
        let plan = plan(&own, (7, 9), "date+hour.csv");
        let layout = "date+hour.csv";
        assert_eq!(read(&plan, &own), Some(Meaning::Plan { last: 9, layout }));
    }

    #[test]
    fn names_of_other_partitions_topics_and_programs_are_foreign() {
        let own = partition("t", 1);
        for foreign in [
            finished(&partition("t", 11), (0, 9), Order::Last, "parquet"),
            finished(&partition("tt", 1), (0, 9), Order::Last, "parquet"),
            finished(&own, (0, 9), Order::Last, "txt"),
            "t-00001-0-9.parquet".into(),
            "t-00001-00000000000000000009-00000000000000000000.parquet".into(),
            "t-00001-00000000000000000000-99999999999999999999.parquet".into(),
            "t-00001-+0000000000000000000-00000000000000000009.parquet".into(),
            "notes.txt".into(),
            ".t-00001-notes.tmp".into(),
            temporary(&partition("t", 2), 5, 0, OWNER),
        ] {
            assert_eq!(read(&foreign, &own), None, "{foreign}");
        }
        let own_temporary = temporary(&own, 5, 12, OWNER);
        assert_eq!(read(&own_temporary, &own), Some(Meaning::Temporary));
    }

    #[test]
    fn topic_cannot_leave_its_folder_or_hide() {
        assert_eq!(folder_name("../etc/passwd"), "%2E.%2Fetc%2Fpasswd");
        assert_eq!(folder_name("."), "%2E");
        assert_eq!(folder_name("dot."), "dot%2E");
        assert_eq!(folder_name("nul\0é"), "nul%00%C3%A9");
        assert_eq!(
            folder_name("mill.results.digits-2_b"),
            "mill.results.digits-2_b"
        );
    }

    #[test]
    fn partition_folder_is_one_folder_whatever_the_value() {
        for value in [
            "a/b", "..", "/", "nul\0", "dot.", "CON", "a=b", "\u{2028}", "%2F",
        ] {
            let name = partition_folder("model", Some(value));
            let encoded = name.strip_prefix("model=").unwrap();
            assert!(
                !encoded.contains(['/', '\0', '=']) && encoded != ".." && !encoded.ends_with('.'),
                "{name}"
            );
        }
        assert_eq!(
            partition_folder("version", None),
            format!("version={NO_VALUE}")
        );
        let (long, longer) = ("x".repeat(300), "x".repeat(301));
        let folder = |value: &str| partition_folder("model", Some(value));
        assert!(folder(&long).len() <= 255);
        assert_ne!(folder(&long), folder(&longer));
        for lead in ["", "a", "ab"] {
            let name = folder(&format!("{lead}{}", "é".repeat(300)));
            let (kept, _) = name.rsplit_once('_').unwrap();
            let whole = kept.len() - 3;
            assert!(
                name.len() <= 255 && kept[whole..].starts_with('%'),
                "{name}"
            );
        }
    }

    #[test]
    fn longest_topic_still_makes_legal_file_names() {
        let longest = partition(&"x".repeat(249), i32::MAX);
        let offsets = (0, i64::MAX);
        for name in [
            finished(&longest, offsets, Order::Before, "parquet"),
            temporary(&longest, i64::MAX, 99_999, OWNER),
            plan(&longest, offsets, "date+hour+model+version.parquet"),
        ] {
            assert!(name.len() <= 255, "{name}");
            assert!(read(&name, &longest).is_some(), "{name}");
        }
    }
}
