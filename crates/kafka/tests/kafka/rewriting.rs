//! Values of compacted topics, changed by several writers at once.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use millrace_kafka::{Error, RewriteError, Rewriter};

use crate::support::{PATIENCE, cluster, new_topic_with, random_name};

fn rewriter(topic: &str) -> Rewriter {
    Rewriter {
        cluster: cluster(),
        topic: topic.to_owned(),
    }
}

/// Adds a letter to the value of a key.
fn append(rewriter: &Rewriter, key: &str, letter: u8) -> i64 {
    let add = |newest: Option<&[u8]>| {
        Ok::<_, Infallible>([newest.unwrap_or_default(), &[letter]].concat())
    };
    let until = Instant::now() + PATIENCE;
    rewriter.change(key.as_bytes(), until, add).unwrap()
}

/// The value of a key, which is not changed by asking for it.
fn value(rewriter: &Rewriter, key: &str) -> String {
    let mut seen = Vec::new();
    let look = |newest: Option<&[u8]>| {
        seen = newest.unwrap_or_default().to_vec();
        Err(())
    };
    let until = Instant::now() + PATIENCE;
    let refused = rewriter.change(key.as_bytes(), until, look);
    assert!(matches!(refused, Err(RewriteError::Refused(()))));
    String::from_utf8(seen).unwrap()
}

#[test]
fn each_key_has_a_value_of_its_own_and_each_change_its_offset() {
    let topic = new_topic_with(1, &[("cleanup.policy", "compact")]);
    let rewriter = rewriter(&topic);
    let offsets = [
        append(&rewriter, "a", b'x'),
        append(&rewriter, "b", b'y'),
        append(&rewriter, "a", b'z'),
    ];
    assert!(offsets.is_sorted() && offsets[0] < offsets[1]);
    assert_eq!(value(&rewriter, "a"), "xz");
    assert_eq!(value(&rewriter, "b"), "y");
    assert_eq!(value(&rewriter, "c"), "");
}

#[test]
fn no_change_of_writers_at_the_same_time_is_lost() {
    let topic = new_topic_with(1, &[("cleanup.policy", "compact")]);
    let rewriter = rewriter(&topic);
    std::thread::scope(|scope| {
        for letter in [b'a', b'b', b'c'] {
            let rewriter = &rewriter;
            scope.spawn(move || {
                for _ in 0..4 {
                    append(rewriter, "k", letter);
                }
            });
        }
    });
    let mut letters: Vec<char> = value(&rewriter, "k").chars().collect();
    letters.sort_unstable();
    assert_eq!(String::from_iter(letters), "aaaabbbbcccc");
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let rewriter = rewriter(&random_name("nowhere"));
    let until = Instant::now() + Duration::from_secs(20);
    let refused = rewriter.change(b"k", until, |_| Ok::<_, Infallible>(Vec::new()));
    let Err(RewriteError::Reading(Error::NoTopic { topic })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(topic, rewriter.topic);
}
