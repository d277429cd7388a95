//! A store in a bucket, where an object appears whole or not at all.

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

use crate::error::ClaimError;
use crate::object::{FOLDER, Object, day_of};
use crate::shelf::{MARKER, MARKER_TEXT, Purge, Shelf};
use crate::store::Purged;

/// A prefix of a bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: Box<dyn ObjectStore>,
    prefix: Path,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Bucket {
    /// Makes the client; nothing is asked yet.
    pub(crate) fn new(store: Box<dyn ObjectStore>, prefix: &str) -> Result<Self, ClaimError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("claims")
            .enable_all()
            .build()
            .map_err(|error| ClaimError::Down(error.to_string()))?;
        let prefix = Path::parse(prefix.trim_matches('/'))
            .map_err(|error| ClaimError::Down(error.to_string()))?;
        Ok(Self {
            store,
            prefix,
            runtime: Some(runtime),
        })
    }

    fn run<T>(&self, work: impl Future<Output = Result<T, ClaimError>>) -> Result<T, ClaimError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => Err(ClaimError::Down("it is being closed".to_owned())),
        }
    }

    fn at(&self, path: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(path.split('/').map(Into::into)))
    }

    async fn check_mark(&self) -> Result<(), ClaimError> {
        match self.store.head(&self.at(MARKER)).await {
            Ok(_) => Ok(()),
            Err(Error::NotFound { .. }) => Err(ClaimError::Down(format!(
                "the bucket has no object {}: nothing has been written to it yet, or it is another one",
                self.at(MARKER)
            ))),
            Err(error) => Err(down(error)),
        }
    }

    async fn fetch(&self, object: &Object) -> Result<Vec<u8>, ClaimError> {
        let found = match self.store.get(&self.at(&object.path)).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => {
                self.check_mark().await?;
                return Err(object.missing());
            }
            Err(error) => return Err(down(error)),
        };
        object.check_length(found.meta.size)?;
        let mut value = Vec::with_capacity(usize::try_from(object.length).unwrap_or(0));
        let mut pieces = found.into_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(down)?;
            if value.len() + piece.len() > value.capacity() {
                return Err(object.wrong("is longer than it said"));
            }
            value.extend_from_slice(&piece);
        }
        Ok(value)
    }

    async fn remove_old(&self, purge: &Purge<'_>) -> Result<Purged, ClaimError> {
        let folder = self.at(FOLDER);
        let skip = self.prefix.parts().count();
        let mut purged = Purged::default();
        let mut objects = self.store.list(Some(&folder));
        while let Some(found) = objects.next().await {
            let found = found.map_err(down)?;
            let path = Path::from_iter(found.location.parts().skip(skip));
            if day_of(path.as_ref()).is_some_and(purge.is_doomed) {
                purged.objects += 1;
                purged.bytes += found.size;
                if !purge.dry {
                    self.store.delete(&found.location).await.map_err(down)?;
                }
            }
        }
        Ok(purged)
    }
}

impl Shelf for Bucket {
    fn mark(&self) -> Result<(), ClaimError> {
        self.run(async {
            let payload = PutPayload::from_static(MARKER_TEXT.as_bytes());
            let put = self.store.put(&self.at(MARKER), payload).await;
            put.map(drop).map_err(down)
        })
    }

    fn put(&self, object: &Object, value: &[u8]) -> Result<(), ClaimError> {
        self.run(async {
            let payload = PutPayload::from(value.to_vec());
            let put = self.store.put(&self.at(&object.path), payload).await;
            put.map(drop).map_err(down)
        })
    }

    fn get(&self, object: &Object) -> Result<Vec<u8>, ClaimError> {
        if object.names().is_none() {
            return Err(object.wrong("is no path within the store"));
        }
        self.run(self.fetch(object))
    }

    fn purge(&self, purge: &Purge<'_>) -> Result<Purged, ClaimError> {
        self.run(self.remove_old(purge))
    }
}

impl Drop for Bucket {
    /// A runtime cannot be waited for where futures run, and nothing is left for it to do.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn down(error: Error) -> ClaimError {
    ClaimError::Down(error.to_string())
}
