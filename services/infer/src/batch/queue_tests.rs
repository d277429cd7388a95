//! Tests of the batch queue.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{BatchLimits, BatchQueue, Depth, Piece, Priority, Release, RowShape};

fn limits(max_rows: usize, max_bytes: usize) -> BatchLimits {
    BatchLimits {
        max_rows,
        max_bytes,
        max_delay: Duration::ZERO,
    }
}

fn any_shape() -> RowShape {
    Arc::from([].as_slice())
}

fn piece(work: u32, rows: usize) -> Piece<u32> {
    Piece {
        priority: Priority::Interactive,
        shape: any_shape(),
        rows,
        bytes: rows * 10,
        deadline: None,
        work,
    }
}

fn shaped(work: u32, dimension: usize) -> Piece<u32> {
    Piece {
        priority: Priority::Interactive,
        shape: Arc::from([dimension].as_slice()),
        rows: 1,
        bytes: 10,
        deadline: None,
        work,
    }
}

fn queue(limits: BatchLimits) -> BatchQueue<u32> {
    BatchQueue::new(limits, 10)
}

fn delayed(max_rows: usize, max_delay: Duration) -> BatchQueue<u32> {
    queue(BatchLimits {
        max_rows,
        max_bytes: 1_000,
        max_delay,
    })
}

/// Pushes pieces of the given rows, and answers the batches with their release reasons.
fn batches(limits: BatchLimits, rows: &[usize]) -> Vec<(Vec<u32>, Release)> {
    let queue = queue(limits);
    for (work, rows) in rows.iter().enumerate() {
        queue.push(piece(u32::try_from(work).unwrap(), *rows));
    }
    let mut taken = Vec::new();
    while queue.depth() != Depth::default() {
        let batch = queue.take().expect("the queue is not empty");
        taken.push((batch.pieces, batch.release));
    }
    taken
}

#[test]
fn a_free_engine_takes_all_that_is_there() {
    assert_eq!(
        batches(limits(100, 10_000), &[1, 2, 3]),
        [(vec![0, 1, 2], Release::Idle)]
    );
}

#[test]
fn a_batch_keeps_within_its_rows_and_takes_the_oldest_first() {
    let expected = [
        (vec![0, 1], Release::Rows),
        (vec![2], Release::Rows),
        (vec![3], Release::Idle),
    ];
    assert_eq!(batches(limits(4, 10_000), &[2, 2, 3, 2]), expected);
}

#[test]
fn a_batch_keeps_within_its_bytes() {
    assert_eq!(
        batches(limits(100, 30), &[2, 1, 1]),
        [(vec![0, 1], Release::Bytes), (vec![2], Release::Idle)]
    );
}

#[test]
fn a_piece_larger_than_the_byte_limit_runs_alone() {
    assert_eq!(
        batches(limits(100, 30), &[9, 1]),
        [(vec![0], Release::Bytes), (vec![1], Release::Idle)]
    );
}

#[test]
fn rows_of_different_shapes_never_share_a_batch_and_the_oldest_goes_first() {
    let queue = queue(limits(100, 10_000));
    for (work, dimension) in [(0, 7), (1, 3), (2, 7), (3, 3)] {
        queue.push(shaped(work, dimension));
    }
    assert_eq!(queue.take().unwrap().pieces, [0, 2]);
    assert_eq!(queue.take().unwrap().pieces, [1, 3]);
    assert_eq!(queue.depth(), Depth::default());
}

#[test]
fn with_a_delay_an_engine_waits_for_a_full_batch() {
    let queue = Arc::new(delayed(2, Duration::from_secs(600)));
    queue.push(piece(0, 1));
    let taker = thread::spawn({
        let queue = Arc::clone(&queue);
        move || queue.take().unwrap()
    });
    queue.push(piece(1, 1));
    let batch = taker.join().unwrap();
    assert_eq!((batch.pieces, batch.release), (vec![0, 1], Release::Rows));
}

#[test]
fn with_a_delay_a_lone_record_is_released_when_the_delay_is_over() {
    let max_delay = Duration::from_millis(20);
    let queue = delayed(8, max_delay);
    let start = Instant::now();
    queue.push(piece(0, 1));
    let batch = queue.take().unwrap();
    assert!(start.elapsed() >= max_delay);
    assert_eq!(batch.release, Release::Delay);
}

#[test]
fn with_a_delay_a_full_batch_of_another_shape_does_not_wait_for_the_oldest() {
    let queue = delayed(2, Duration::from_secs(600));
    for (work, dimension) in [(0, 7), (1, 3), (2, 3)] {
        queue.push(shaped(work, dimension));
    }
    assert_eq!(queue.take().unwrap().pieces, [1, 2]);
}

#[test]
fn with_a_delay_a_batch_does_not_wait_beyond_the_deadline_of_one_of_its_records() {
    let queue = delayed(8, Duration::from_secs(600));
    queue.push(piece(0, 1));
    queue.push(Piece {
        priority: Priority::Interactive,
        deadline: Some(Instant::now() + Duration::from_secs(300)),
        ..piece(1, 1)
    });
    let batch = queue.take().unwrap();
    assert_eq!(
        (batch.pieces, batch.release),
        (vec![0, 1], Release::Deadline)
    );
    // The deadline left with its record: the next one waits for company again.
    queue.push(piece(2, 1));
    queue.push(piece(3, 7));
    let batch = queue.take().unwrap();
    assert_eq!((batch.pieces, batch.release), (vec![2, 3], Release::Rows));
}

#[test]
fn a_deadline_after_the_delay_changes_nothing() {
    let max_delay = Duration::from_millis(20);
    let queue = delayed(8, max_delay);
    queue.push(Piece {
        priority: Priority::Interactive,
        deadline: Some(Instant::now() + Duration::from_secs(300)),
        ..piece(0, 1)
    });
    assert_eq!(queue.take().unwrap().release, Release::Delay);
}

#[test]
fn with_a_delay_a_batch_that_is_full_by_its_bytes_does_not_wait() {
    let queue = delayed(1_000, Duration::from_secs(600));
    queue.push(piece(0, 99));
    queue.push(piece(1, 1));
    let batch = queue.take().unwrap();
    assert_eq!((batch.pieces, batch.release), (vec![0, 1], Release::Bytes));
}

#[test]
fn hurry_and_close_release_what_waits_for_the_delay() {
    let queue = delayed(8, Duration::from_secs(600));
    queue.push(piece(0, 1));
    queue.hurry();
    assert_eq!(queue.take().unwrap().release, Release::Drain);
    queue.push(piece(1, 1));
    queue.close();
    assert_eq!(queue.take().unwrap().pieces, [1]);
    assert!(queue.take().is_none());
}

#[test]
fn a_closed_queue_says_so_to_who_pushes_and_keeps_the_piece_for_new_engines() {
    let queue = queue(limits(8, 1_000));
    assert!(queue.push(piece(0, 1)));
    queue.close();
    assert_eq!(queue.take().unwrap().pieces, [0]);
    assert!(queue.take().is_none());
    assert!(!queue.push(piece(1, 1)));
    queue.reopen();
    assert!(queue.push(piece(2, 1)));
    assert_eq!(queue.take().unwrap().pieces, [1, 2]);
}

#[test]
fn a_waiting_engine_is_woken_by_a_push() {
    let queue = Arc::new(queue(limits(8, 1_000)));
    let taker = thread::spawn({
        let queue = Arc::clone(&queue);
        move || {
            let mut seen = Vec::new();
            while let Some(batch) = queue.take() {
                seen.extend(batch.pieces);
            }
            seen
        }
    });
    for work in 0..1_000 {
        queue.push(piece(work, 1));
    }
    queue.close();
    assert_eq!(taker.join().unwrap(), (0..1_000).collect::<Vec<_>>());
}
