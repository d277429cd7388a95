//! The models topic as it is now, and as it goes on.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_kafka::{Follower, FollowerSettings, Metrics};

use crate::board::Board;
use crate::connection::Connection;
use crate::whole_topic::MAX_RECORD_BYTES;

const CATCH_UP: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(5);

/// A board that is kept up to date by a thread.
pub(crate) struct Followed {
    board: Arc<Mutex<Board>>,
    news: Receiver<()>,
    follower: Follower,
}

impl Followed {
    /// Reads what is there, and goes on.
    pub(crate) fn start(connection: &Connection) -> anyhow::Result<Self> {
        let settings = FollowerSettings {
            max_record_bytes: MAX_RECORD_BYTES,
            ..FollowerSettings::whole_topic(connection.cluster.clone(), connection.topic("models"))
        };
        let board = Arc::new(Mutex::new(Board::default()));
        let (sender, news) = sync_channel(1);
        let on_record = {
            let board = Arc::clone(&board);
            move |record| {
                board
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(record);
                // Full: there are news already.
                let _ = sender.try_send(());
            }
        };
        let follower = Follower::start(settings, on_record, &Metrics::default())?;
        follower.wait_caught_up(CATCH_UP)?;
        Ok(Self {
            board,
            news,
            follower,
        })
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Board) -> T) -> T {
        look(&self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when something was written since the last call, after `patience` at the latest.
    pub(crate) fn wait_for_news(&self, patience: Duration) {
        // Both outcomes are an occasion to look.
        let _ = self.news.recv_timeout(patience);
    }

    pub(crate) fn stop(self) -> anyhow::Result<()> {
        Ok(self.follower.stop(STOP)?)
    }
}
