//! Tasks that wait for threads of their own, and what they have made that is still held. A thread takes no further task
//! while too many bytes are held; nothing here grows beyond what its callers let in.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What waits to be decoded, and the bytes of pixels that wait to be run.
#[derive(Debug)]
pub(crate) struct Stage<T> {
    max_held_bytes: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    tasks: VecDeque<T>,
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
    /// Threads rest while `max_held_bytes` or more are held.
    pub(crate) fn new(max_held_bytes: usize) -> Self {
        Self {
            max_held_bytes,
            state: Mutex::new(State {
                tasks: VecDeque::new(),
                working: 0,
                held_bytes: 0,
                ended: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds a task. Never waits; what is in here holds tickets of the consumer, which bounds it.
    pub(crate) fn push(&self, task: T) {
        self.lock().tasks.push_back(task);
        self.changed.notify_one();
    }

    /// The oldest task, once there is one and there is room for what it makes; `None` after [`end`](Self::end). Every
    /// task that is taken must be [`finished`](Self::finish).
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            if state.held_bytes < self.max_held_bytes
                && let Some(task) = state.tasks.pop_front()
            {
                state.working += 1;
                return Some(task);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A task that was taken is done, and what came of it is where it belongs.
    pub(crate) fn finish(&self) {
        self.lock().working -= 1;
    }

    /// Whether nothing waits and nothing is being done.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.tasks.is_empty() && state.working == 0
    }

    /// Tasks that wait or are being done.
    pub(crate) fn tasks(&self) -> usize {
        let state = self.lock();
        state.tasks.len() + state.working
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
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn tasks_are_taken_oldest_first_and_counted_until_they_are_finished() {
        let stage = Stage::new(1);
        stage.push("one");
        stage.push("two");
        assert_eq!(stage.take(), Some("one"));
        assert_eq!((stage.tasks(), stage.is_idle()), (2, false));
        stage.finish();
        assert_eq!(stage.take(), Some("two"));
        assert!(!stage.is_idle());
        stage.finish();
        assert!(stage.is_idle());
    }

    #[test]
    fn no_task_is_taken_while_too_much_is_held() {
        let stage = Arc::new(Stage::new(10));
        let (first, second) = (stage.hold(9), stage.hold(5));
        stage.push(1);
        let (sender, taken) = mpsc::channel();
        let threads = Arc::clone(&stage);
        let thread = thread::spawn(move || sender.send(threads.take()).unwrap());
        drop(second);
        assert_eq!(
            taken.recv_timeout(SOON).unwrap(),
            Some(1),
            "9 are less than 10"
        );
        thread.join().unwrap();
        let third = stage.hold(1);
        stage.push(2);
        let (sender, taken) = mpsc::channel();
        let threads = Arc::clone(&stage);
        let thread = thread::spawn(move || sender.send(threads.take()).unwrap());
        // Nothing can show that it never would be taken; a while without it is what a test can have.
        assert!(
            taken.recv_timeout(Duration::from_millis(50)).is_err(),
            "10 are held"
        );
        drop((first, third));
        assert_eq!(taken.recv_timeout(SOON).unwrap(), Some(2));
        thread.join().unwrap();
    }

    #[test]
    fn an_end_lets_every_thread_go_and_drops_what_waits() {
        let stage = Arc::new(Stage::<Arc<()>>::new(10));
        let threads: Vec<_> = (0..3)
            .map(|_| Arc::clone(&stage))
            .map(|stage| thread::spawn(move || stage.take().is_none()))
            .collect();
        stage.end();
        for thread in threads {
            assert!(thread.join().unwrap());
        }
        let task = Arc::new(());
        let full = Stage::new(0);
        full.push(Arc::clone(&task));
        full.end();
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
