//! The console at `/console`: one page for people, and what it asks.
//!
//! The page is files of this program; it takes nothing from elsewhere. What it shows comes from
//! `/console/api`, which is behind the same credentials and permissions as all else. What ingest itself
//! does not know (ends of topics, the groups of sink, dead letters, replays) is read from Kafka while
//! somebody looks, by one thread at a time.

mod error;
mod letters;
mod page;
mod picture;
mod replays;
mod requests;
mod requeue;
mod survey;

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use millrace_kafka::Cluster;

use crate::settings::Settings;

pub(crate) use error::ConsoleError;

/// Adds the page and what it asks, if there is to be a console.
pub(crate) fn configure(routes: &mut ServiceConfig) {
    page::configure(routes);
    requests::configure(routes);
}

/// Whether a path is part of the page, which says nothing of the line.
pub(crate) fn is_page(path: &str) -> bool {
    page::is_part(path)
}

/// What the console works with; cheap to clone.
#[derive(Clone)]
pub(crate) struct Console {
    shared: Arc<Shared>,
}

struct Shared {
    enabled: bool,
    open_page: bool,
    cluster: Cluster,
    prefix: String,
    survey: survey::Surveyor,
    /// Held while dead letters or replays are read or written: one reader at a time.
    turn: std::sync::Mutex<()>,
}

impl Console {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                enabled: settings.console.enabled,
                open_page: settings.console.open_page,
                cluster: settings.kafka.clone(),
                prefix: settings.topics.prefix.clone(),
                survey: survey::Surveyor::default(),
                turn: std::sync::Mutex::default(),
            }),
        }
    }

    /// Whether the page is answered without credentials.
    pub(crate) fn opens_page(&self) -> bool {
        self.shared.enabled && self.shared.open_page
    }

    /// Does what blocks on a thread for such work.
    ///
    /// # Errors
    /// [`ConsoleError`], or the thread was lost.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, ConsoleError> + Send + 'static,
    ) -> Result<T, crate::front::Error> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        let done = done.map_err(|_| crate::front::Error::Worker)?;
        Ok(done?)
    }
}

impl Shared {
    /// The full name of one of the line's topics.
    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }
}
