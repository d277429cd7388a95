//! File names that carry the progress: topic, partition, first and last offset, so that a listing tells where to go on.

use std::fmt::Write;

use millrace_kafka::TopicPartition;

/// File names end at 255 bytes; what follows the topic needs up to 60 of them.
const LONGEST_TOPIC_IN_FILE_NAME: usize = 180;

const OFFSET_DIGITS: usize = 20;

/// The folder of a topic: its name, percent-encoded where it could leave its parent or hide.
pub(crate) fn folder_name(topic: &str) -> String {
    let mut name = String::with_capacity(topic.len());
    for (index, byte) in topic.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_')
            || (byte == b'.' && index > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    name
}

/// The name of a finished file that covers the offsets `first..=last`.
pub(crate) fn finished(partition: &TopicPartition, first: i64, last: i64) -> String {
    format!("{}{first:020}-{last:020}.parquet", stem(partition))
}

/// The name of a file being written: hidden, and different for every owner.
pub(crate) fn temporary(partition: &TopicPartition, first: i64, owner: &str) -> String {
    format!(".{}{first:020}-{owner}.tmp", stem(partition))
}

/// The name of the file that says which process owns the partition.
pub(crate) fn owner(partition: &TopicPartition) -> String {
    format!(".{}owner", stem(partition))
}

/// The last offset covered by a finished file of this partition; `None` for any other name.
pub(crate) fn last_offset(name: &str, partition: &TopicPartition) -> Option<i64> {
    let range = name
        .strip_prefix(&stem(partition))?
        .strip_suffix(".parquet")?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (parse_offset(first)?, parse_offset(last)?);
    (first <= last).then_some(last)
}

/// Whether this is the name of an unfinished file of this partition, whoever owned it.
pub(crate) fn is_temporary(name: &str, partition: &TopicPartition) -> bool {
    let prefix = format!(".{}", stem(partition));
    let Some(rest) = name
        .strip_prefix(&prefix)
        .and_then(|rest| rest.strip_suffix(".tmp"))
    else {
        return false;
    };
    let Some((first, owner)) = rest.split_once('-') else {
        return false;
    };
    parse_offset(first).is_some()
        && owner.len() == 32
        && owner.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn stem(partition: &TopicPartition) -> String {
    let mut topic = folder_name(&partition.topic);
    topic.truncate(LONGEST_TOPIC_IN_FILE_NAME);
    format!("{topic}-{:05}-", partition.partition)
}

fn parse_offset(text: &str) -> Option<i64> {
    let digits = text.len() == OFFSET_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition,
        }
    }

    #[test]
    fn finished_name_carries_topic_partition_and_offsets() {
        let name = finished(&partition("mill.results.digits", 3), 7, 120);
        assert_eq!(
            name,
            "mill.results.digits-00003-00000000000000000007-00000000000000000120.parquet"
        );
        assert_eq!(
            last_offset(&name, &partition("mill.results.digits", 3)),
            Some(120)
        );
    }

    #[test]
    fn names_of_other_partitions_topics_and_programs_are_foreign() {
        let own = partition("t", 1);
        for foreign in [
            finished(&partition("t", 11), 0, 9),
            finished(&partition("tt", 1), 0, 9),
            "t-00001-0-9.parquet".into(),
            "t-00001-00000000000000000009-00000000000000000000.parquet".into(),
            "t-00001-00000000000000000000-99999999999999999999.parquet".into(),
            "t-00001-+0000000000000000000-00000000000000000009.parquet".into(),
            "notes.txt".into(),
        ] {
            assert_eq!(last_offset(&foreign, &own), None, "{foreign}");
        }
    }

    #[test]
    fn only_own_unfinished_files_are_temporary() {
        let own = partition("t", 1);
        let owner = "0123456789abcdef0123456789abcdef";
        assert!(is_temporary(&temporary(&own, 5, owner), &own));
        assert!(!is_temporary(
            &temporary(&partition("t", 2), 5, owner),
            &own
        ));
        assert!(!is_temporary(".t-00001-notes.tmp", &own));
        assert!(!is_temporary(&finished(&own, 0, 5), &own));
    }

    #[test]
    fn topic_cannot_leave_its_folder_or_hide() {
        assert_eq!(folder_name("../etc/passwd"), "%2E.%2Fetc%2Fpasswd");
        assert_eq!(folder_name("."), "%2E");
        assert_eq!(folder_name("nul\0é"), "nul%00%C3%A9");
        assert_eq!(
            folder_name("mill.results.digits-2_b"),
            "mill.results.digits-2_b"
        );
    }

    #[test]
    fn longest_topic_still_makes_a_legal_file_name() {
        let longest = partition(&"x".repeat(249), i32::MAX);
        let owner = "0123456789abcdef0123456789abcdef";
        assert!(finished(&longest, 0, i64::MAX).len() <= 255);
        assert!(temporary(&longest, i64::MAX, owner).len() <= 255);
        assert_eq!(last_offset(&finished(&longest, 0, 4), &longest), Some(4));
    }
}
