//! Tasks that wait for threads of their own, and what they have made that is still held. A thread takes no further task
//! while too many bytes are held; nothing here grows beyond what its callers let in. The bulk lane may hold half of what
//! there is room for, so that pixels which nobody waits for never keep others out.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::batch::{Priority, Share, Turn};

/// What waits to be decoded, and the bytes of pixels that wait to be run.
#[derive(Debug)]
pub(crate) struct Stage<T> {
    max_held_bytes: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// By [`Priority::index`].
    tasks: [VecDeque<T>; 2],
    share: Share,
    /// Tasks that a thread has taken and not finished.
    working: usize,
    held_bytes: usize,
    ended: bool,
}

/// Bytes that count as held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held<T> {
    stage: Arc<Stage<T>>,
    bytes: usize,
}

impl<T> Stage<T> {
    /// Threads rest while `max_held_bytes` or more are held. `bulk_weight`: percent of their time for the bulk lane while
    /// both lanes have tasks.
    pub(crate) fn new(max_held_bytes: usize, bulk_weight: u8) -> Self {
        Self {
            max_held_bytes,
            state: Mutex::new(State {
                tasks: [VecDeque::new(), VecDeque::new()],
                share: Share::new(bulk_weight),
                working: 0,
                held_bytes: 0,
                ended: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds a task. Never waits; what is in here holds tickets of the consumer, which bounds it.
    pub(crate) fn push(&self, priority: Priority, task: T) {
        self.lock().tasks[priority.index()].push_back(task);
        self.changed.notify_one();
    }

    /// The oldest task of the lane whose turn it is, once there is one and there is room for what it makes; `None` after
    /// [`end`](Self::end). Every task that is taken must be [`finished`](Self::finish).
    pub(crate) fn take(&self) -> Option<(Turn, T)> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            if let Some(turn) = state.turn(self.max_held_bytes)
                && let Some(task) = state.tasks[turn.priority.index()].pop_front()
            {
                state.working += 1;
                return Some((turn, task));
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A task that was taken is done after so long, and what came of it is where it belongs.
    pub(crate) fn finish(&self, turn: Turn, took: Duration) {
        let mut state = self.lock();
        state.working -= 1;
        let has_bulk = state.has(Priority::Bulk);
        state.share.charge(turn, took, has_bulk);
    }

    /// Whether nothing waits and nothing is being done.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.waiting() + state.working == 0
    }

    /// Tasks that wait or are being done.
    pub(crate) fn tasks(&self) -> usize {
        let state = self.lock();
        state.waiting() + state.working
    }

    /// Counts what a task has made; it may be more than there was room for, by one task per thread.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Held<T> {
        self.lock().held_bytes += bytes;
        Held {
            stage: Arc::clone(self),
            bytes,
        }
    }

    /// Lets [`take`](Self::take) answer `None` from now on. Tasks that wait are dropped.
    pub(crate) fn end(&self) {
        let tasks = {
            let mut state = self.lock();
            state.ended = true;
            std::mem::take(&mut state.tasks)
        };
        self.changed.notify_all();
        // Outside the lock: a task may own the last handle to whoever ends this stage.
        drop(tasks);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of ours that can panic runs under this lock, so a poisoned one still guards a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn has(&self, priority: Priority) -> bool {
        !self.tasks[priority.index()].is_empty()
    }

    fn waiting(&self) -> usize {
        self.tasks.iter().map(VecDeque::len).sum()
    }

    /// Which lane goes next; `None` if there is nothing to do, or no room.
    fn turn(&self, max_held_bytes: usize) -> Option<Turn> {
        let room = |bytes| self.held_bytes < bytes;
        self.share.turn(
            self.has(Priority::Interactive) && room(max_held_bytes),
            self.has(Priority::Bulk) && room(max_held_bytes.div_ceil(2)),
        )
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.stage.lock().held_bytes -= self.bytes;
        self.stage.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn stage<T>(max_held_bytes: usize) -> Stage<T> {
        Stage::new(max_held_bytes, 10)
    }

    /// Takes a task that takes no time.
    fn taken<T>(stage: &Stage<T>) -> Option<T> {
        let (turn, task) = stage.take()?;
        stage.finish(turn, Duration::ZERO);
        Some(task)
    }

    #[test]
    fn tasks_are_taken_oldest_first_and_counted_until_they_are_finished() {
        let stage = stage(1);
        stage.push(Priority::Interactive, "one");
        stage.push(Priority::Interactive, "two");
        let (turn, task) = stage.take().unwrap();
        assert_eq!(task, "one");
        assert_eq!((stage.tasks(), stage.is_idle()), (2, false));
        stage.finish(turn, Duration::ZERO);
        let (turn, task) = stage.take().unwrap();
        assert_eq!(task, "two");
        assert!(!stage.is_idle());
        stage.finish(turn, Duration::ZERO);
        assert!(stage.is_idle());
    }

    #[test]
    fn bulk_tasks_wait_for_others_and_hold_half_of_the_room_at_most() {
        let stage = Arc::new(stage(10));
        stage.push(Priority::Bulk, "bulk");
        stage.push(Priority::Interactive, "interactive");
        assert_eq!(taken(&stage), Some("interactive"));
        assert_eq!(taken(&stage), Some("bulk"));
        let _half = stage.hold(5);
        stage.push(Priority::Bulk, "more bulk");
        stage.push(Priority::Interactive, "another");
        assert_eq!(taken(&stage), Some("another"));
        assert!(stage.lock().turn(10).is_none(), "half of the room is held");
    }

    #[test]
    fn no_task_is_taken_while_too_much_is_held() {
        let stage = Arc::new(stage(10));
        let (first, second) = (stage.hold(9), stage.hold(5));
        stage.push(Priority::Interactive, 1);
        let (sender, received) = mpsc::channel();
        let threads = Arc::clone(&stage);
        let thread = thread::spawn(move || sender.send(taken(&threads)).unwrap());
        drop(second);
        assert_eq!(
            received.recv_timeout(SOON).unwrap(),
            Some(1),
            "9 are less than 10"
        );
        thread.join().unwrap();
        let third = stage.hold(1);
        stage.push(Priority::Interactive, 2);
        let (sender, received) = mpsc::channel();
        let threads = Arc::clone(&stage);
        let thread = thread::spawn(move || sender.send(taken(&threads)).unwrap());
        // Nothing can show that it never would be taken; a while without it is what a test can have.
        assert!(
            received.recv_timeout(Duration::from_millis(50)).is_err(),
            "10 are held"
        );
        drop((first, third));
        assert_eq!(received.recv_timeout(SOON).unwrap(), Some(2));
        thread.join().unwrap();
    }

    #[test]
    fn an_end_lets_every_thread_go_and_drops_what_waits() {
        let stage = Arc::new(stage::<Arc<()>>(10));
        let threads: Vec<_> = (0..3)
            .map(|_| Arc::clone(&stage))
            .map(|stage| thread::spawn(move || stage.take().is_none()))
            .collect();
        stage.end();
        for thread in threads {
            assert!(thread.join().unwrap());
        }
        let task = Arc::new(());
        let full: Stage<Arc<()>> = self::stage(0);
        full.push(Priority::Bulk, Arc::clone(&task));
        full.end();
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
