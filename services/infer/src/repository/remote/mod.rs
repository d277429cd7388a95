//! A repository in an object store or behind a web server.
//!
//! Stores are listed. Web servers cannot be: there a `SHA256SUMS` beside the models lists every file, and is the list.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

use super::ModelError;
use super::digest::{FileState, hex};
use super::layout::Listing;
use super::place::Store;
use super::sums::{self, Sums};
use crate::settings::ModelSettings;

mod download;
mod open;

/// More objects under one prefix are no model repository.
const MOST_OBJECTS: usize = 200_000;
/// Texts (`model.toml`, `SHA256SUMS`) are smaller.
const MOST_TEXT_BYTES: u64 = 16 << 20;

/// A prefix of a store.
#[derive(Debug)]
pub(super) struct Remote {
    store: Arc<dyn ObjectStore>,
    is_web: bool,
    /// As in the settings, for messages.
    url: String,
    prefix: String,
    runtime: Runtime,
    /// Small files that were read, with the state that they had.
    texts: Mutex<HashMap<String, (FileState, String)>>,
}

/// What is to be downloaded: the files of one version, and where they are.
pub(super) struct Wanted {
    /// `<name>/<version>`.
    pub(super) place: String,
    pub(super) files: Vec<FileState>,
    /// A web server does not say before how much it is.
    pub(super) limit_bytes: u64,
}

impl Remote {
    /// Makes the client; nothing is asked yet.
    pub(super) fn open(
        store: Store,
        url: String,
        prefix: String,
        settings: &ModelSettings,
    ) -> Result<Self, ModelError> {
        let unusable = |error: anyhow::Error| ModelError::Store {
            url: url.clone(),
            problem: format!("{error:#}"),
        };
        let client = open::open(store, &url, settings).map_err(unusable)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unusable(error.into()))?;
        Ok(Self {
            store: client,
            is_web: matches!(store, Store::Web),
            url,
            prefix,
            runtime,
            texts: Mutex::default(),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// All models with their versions and files.
    pub(super) fn list(&self) -> Result<Listing, ModelError> {
        let files = if self.is_web {
            self.read_index()?
        } else {
            self.wait(self.list_objects(""))?
        };
        Ok(Listing::of(files))
    }

    /// The text of a small file that was listed in this state.
    pub(super) fn text(&self, path: &str, state: &FileState) -> Result<String, ModelError> {
        let texts = || self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, text)) = texts().get(path)
            && known == state
        {
            return Ok(text.clone());
        }
        let text = self.wait(self.read_text(path))?;
        texts().insert(path.to_owned(), (state.clone(), text.clone()));
        Ok(text)
    }

    /// Downloads all files of a version into a folder; answers their digests.
    pub(super) fn download(&self, wanted: &Wanted, into: &Path) -> Result<Sums, ModelError> {
        self.wait(download::all(self, wanted, into))
    }

    async fn list_objects(&self, below: &str) -> Result<Vec<FileState>, ModelError> {
        let root = self.path(below)?;
        let mut objects = self.store.list(Some(&root));
        let mut files = Vec::new();
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| self.error("the list", error))?;
            let Some(parts) = object.location.prefix_match(&root) else {
                continue;
            };
            let parts: Vec<_> = parts.collect();
            let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            if files.len() == MOST_OBJECTS {
                let problem = format!("it holds more than {MOST_OBJECTS} objects");
                return Err(self.unusable(problem));
            }
            files.push(FileState {
                path: parts.join("/"),
                size: object.size,
                state: object
                    .e_tag
                    .unwrap_or_else(|| object.last_modified.to_rfc3339()),
            });
        }
        Ok(files)
    }

    /// The files of a web server, with their digests for states and without sizes.
    fn read_index(&self) -> Result<Vec<FileState>, ModelError> {
        let text = self.wait(self.read_text(sums::FILE))?;
        let listed = sums::parse(&text)
            .map_err(|problem| self.unusable(format!("its {} {problem}", sums::FILE)))?;
        let file = |(path, digest): (String, [u8; 32])| FileState {
            path,
            size: 0,
            state: hex(&digest),
        };
        Ok(listed.into_iter().map(file).collect())
    }

    async fn read_text(&self, path: &str) -> Result<String, ModelError> {
        let location = self.path(path)?;
        let object = match self.store.get(&location).await {
            Err(Error::NotFound { .. }) if self.is_web && path == sums::FILE => {
                return Err(self.unusable(format!(
                    "it has no {path}; web servers cannot be listed, so put there what `find . -type f | xargs \
                     sha256sum` says of its models"
                )));
            }
            object => object.map_err(|error| self.error(path, error))?,
        };
        let mut text = Vec::new();
        let mut parts = object.into_stream();
        while let Some(part) = parts.next().await {
            text.extend_from_slice(&part.map_err(|error| self.error(path, error))?);
            if text.len() as u64 > MOST_TEXT_BYTES {
                return Err(self.unusable(format!("its {path} is too large")));
            }
        }
        String::from_utf8(text).map_err(|_| self.unusable(format!("its {path} is no text")))
    }

    fn path(&self, below: &str) -> Result<ObjectPath, ModelError> {
        let whole = [self.prefix.as_str(), below];
        let whole: Vec<&str> = whole.into_iter().filter(|part| !part.is_empty()).collect();
        ObjectPath::parse(whole.join("/"))
            .map_err(|error| self.unusable(format!("its path cannot be used: {error}")))
    }

    fn error(&self, what: &str, source: Error) -> ModelError {
        ModelError::Remote {
            what: what.to_owned(),
            url: self.url.clone(),
            source: Arc::new(source),
        }
    }

    fn unusable(&self, problem: String) -> ModelError {
        ModelError::Store {
            url: self.url.clone(),
            problem,
        }
    }

    /// Waits for an answer, also on a thread that another runtime has.
    fn wait<T: Send>(
        &self,
        work: impl Future<Output = Result<T, ModelError>> + Send,
    ) -> Result<T, ModelError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return self.runtime.block_on(work);
        }
        let done = thread::scope(|scope| scope.spawn(|| self.runtime.block_on(work)).join());
        done.unwrap_or_else(|_| Err(self.unusable("its client panicked".to_owned())))
    }
}

#[cfg(test)]
mod tests;
