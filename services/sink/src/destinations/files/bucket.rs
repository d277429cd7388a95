//! Files in an object store, where an object appears whole or not at all, and nothing can be locked.
//!
//! One small hidden object per partition names its owner and the batch that is being written. It
//! is changed only by whoever knows its latest version, so a process that was paused while
//! another took over cannot announce a batch any more. What it had announced already, it may
//! still write: the next owner therefore begins with that very batch, under the same names, and
//! an object that is there is never replaced. Whoever writes it, it is there once.

use std::collections::HashMap;

use anyhow::{Context, anyhow};
use millrace_kafka::TopicPartition;
use object_store::path::Path;
use object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

use super::names::{self, Meaning};
use super::shelf::{Delivery, Shelf, Stock};
use crate::destinations::WriteError;

/// How often a claim is tried again while other processes claim the same partition.
const CLAIM_ATTEMPTS: usize = 10;

/// A prefix of a bucket with one folder per topic.
pub(super) struct Bucket {
    store: Box<dyn ObjectStore>,
    prefix: String,
    runtime: Runtime,
    /// Differs from process to process.
    owner: String,
    /// Format and partition folders, as they stand in announcements.
    layout: String,
    owned: HashMap<TopicPartition, UpdateVersion>,
}

/// What the owner object says: `owner`, then, on a line of its own, `first last layout` of the
/// batch that was announced last.
#[derive(Debug, PartialEq, Eq)]
struct Notice {
    owner: String,
    announced: Option<(i64, i64, String)>,
}

enum Failure {
    /// Another process changed the owner object.
    Overtaken,
    Store(Error),
    Content(anyhow::Error),
}

impl Bucket {
    /// Opens the prefix; fails if it cannot be listed.
    pub(super) fn open(
        store: Box<dyn ObjectStore>,
        prefix: &str,
        owner: String,
        layout: String,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime of the object store")?;
        let bucket = Self {
            store,
            prefix: prefix.trim_matches('/').to_owned(),
            runtime,
            owner,
            layout,
            owned: HashMap::new(),
        };
        let root = Path::parse(&bucket.prefix).context("its path cannot be used")?;
        bucket.runtime.block_on(async {
            match bucket.store.list(Some(&root)).next().await {
                Some(Err(error)) => Err(error),
                _ => Ok(()),
            }
        })?;
        Ok(bucket)
    }

    fn path(&self, partition: &TopicPartition, below: &[&str]) -> Result<Path, WriteError> {
        let topic = names::folder_name(&partition.topic);
        let mut parts = vec![&*self.prefix, &*topic];
        parts.extend(below);
        parts.retain(|part| !part.is_empty());
        Path::parse(parts.join("/")).map_err(|error| WriteError::Fatal(error.into()))
    }

    /// Writes our name into the owner object and keeps what it announces.
    async fn take_over(&self, path: &Path) -> Result<(UpdateVersion, Notice), Failure> {
        let (mode, announced) = match self.read(path).await? {
            Some((version, notice)) => (PutMode::Update(version), notice.announced),
            None => (PutMode::Create, None),
        };
        let notice = Notice {
            owner: self.owner.clone(),
            announced,
        };
        let version = self.put(path, notice.to_string().into(), mode).await?;
        Ok((version, notice))
    }

    async fn read(&self, path: &Path) -> Result<Option<(UpdateVersion, Notice)>, Failure> {
        let object = match self.store.get(path).await {
            Ok(object) => object,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Failure::Store(error)),
        };
        let version = UpdateVersion {
            e_tag: object.meta.e_tag.clone(),
            version: object.meta.version.clone(),
        };
        let bytes = object.bytes().await.map_err(Failure::Store)?;
        let notice = Notice::parse(&bytes);
        let notice = notice.ok_or_else(|| Failure::Content(anyhow!("{path} is not Millrace's")))?;
        Ok(Some((version, notice)))
    }

    async fn put(
        &self,
        path: &Path,
        payload: PutPayload,
        mode: PutMode,
    ) -> Result<UpdateVersion, Failure> {
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        match self.store.put_opts(path, payload, options).await {
            Ok(put) => Ok(put.into()),
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => {
                Err(Failure::Overtaken)
            }
            Err(error) => Err(Failure::Store(error)),
        }
    }

    /// The offset after the last one that the names say is stored.
    async fn next_offset(&self, partition: &TopicPartition, folder: &Path) -> Result<i64, Error> {
        let mut next_offset = 0;
        let mut objects = self.store.list(Some(folder));
        while let Some(object) = objects.next().await {
            let object = object?;
            let name = object.location.filename().unwrap_or_default();
            if let Some(Meaning::DoneTo(last)) = names::read(name, partition) {
                next_offset = next_offset.max(last.saturating_add(1));
            }
        }
        Ok(next_offset)
    }

    /// Says in the owner object which batch comes, if it is still ours.
    async fn announce(
        &self,
        delivery: &Delivery<'_>,
        path: &Path,
        version: UpdateVersion,
    ) -> Result<UpdateVersion, Failure> {
        let (first, last) = delivery.offsets;
        let notice = Notice {
            owner: self.owner.clone(),
            announced: Some((first, last, delivery.layout.to_owned())),
        };
        let payload = || PutPayload::from(notice.to_string());
        match self.put(path, payload(), PutMode::Update(version)).await {
            Err(Failure::Overtaken) => {}
            put => return put,
        }
        // An earlier attempt may have succeeded although its answer was lost.
        match self.read(path).await? {
            Some((version, written)) if written.owner == self.owner => {
                self.put(path, payload(), PutMode::Update(version)).await
            }
            _ => Err(Failure::Overtaken),
        }
    }

    async fn put_files(&self, delivery: &Delivery<'_>) -> Result<(), WriteError> {
        for file in delivery.files {
            let path = self.path(delivery.partition, &[&file.folder, &file.name])?;
            let payload = PutPayload::from(file.bytes.clone());
            match self.put(&path, payload, PutMode::Create).await {
                // Announced by us or by the owner before us: the same rows are there.
                Ok(_) | Err(Failure::Overtaken) => {}
                Err(failure) => return Err(failure.classify(delivery.partition, &path)),
            }
        }
        Ok(())
    }
}

impl Shelf for Bucket {
    fn claim(&mut self, partition: &TopicPartition) -> Result<Stock, WriteError> {
        let folder = self.path(partition, &[])?;
        let path = self.path(partition, &[&names::owner(partition)])?;
        let this = &*self;
        let (version, notice, next_offset) = this.runtime.block_on(async {
            let mut claimed = Err(Failure::Overtaken);
            for _ in 0..CLAIM_ATTEMPTS {
                claimed = this.take_over(&path).await;
                if !matches!(claimed, Err(Failure::Overtaken)) {
                    break;
                }
            }
            let (version, notice) =
                claimed.map_err(|failure| failure.classify(partition, &path))?;
            let next_offset = this.next_offset(partition, &folder).await;
            let next_offset =
                next_offset.map_err(|error| Failure::Store(error).classify(partition, &folder))?;
            Ok((version, notice, next_offset))
        })?;
        self.owned.insert(partition.clone(), version);
        let unfinished = notice.announced.filter(|(_, last, _)| *last >= next_offset);
        match unfinished {
            Some((_, _, layout)) if layout != self.layout => Err(WriteError::Fatal(
                super::other_layout(path.as_ref(), &layout),
            )),
            unfinished => Ok(Stock {
                next_offset,
                unfinished_to: unfinished.map(|(_, last, _)| last),
            }),
        }
    }

    fn publish(&mut self, delivery: &Delivery<'_>) -> Result<(), WriteError> {
        let partition = delivery.partition;
        let path = self.path(partition, &[&names::owner(partition)])?;
        let Some(version) = self.owned.get(partition).cloned() else {
            return Err(WriteError::Fenced(partition.clone()));
        };
        let announced = self
            .runtime
            .block_on(self.announce(delivery, &path, version));
        let version = announced.map_err(|failure| failure.classify(partition, &path))?;
        self.owned.insert(partition.clone(), version);
        self.runtime.block_on(self.put_files(delivery))
    }
}

impl Failure {
    fn classify(self, partition: &TopicPartition, path: &Path) -> WriteError {
        match self {
            Self::Overtaken => WriteError::Fenced(partition.clone()),
            Self::Content(error) => WriteError::Fatal(error),
            Self::Store(error @ (Error::NotSupported { .. } | Error::NotImplemented { .. })) => {
                WriteError::Fatal(anyhow::Error::new(error).context(
                    "the object store cannot write an object only if it is not there, or has not changed, and without that nothing is exactly once",
                ))
            }
            Self::Store(error) => {
                let error = anyhow::Error::new(error).context(format!("cannot write {path}"));
                WriteError::Transient(error)
            }
        }
    }
}

impl Notice {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        let owner = lines.next()?.to_owned();
        let Some(line) = lines.next() else {
            return Some(Self {
                owner,
                announced: None,
            });
        };
        let mut words = line.split(' ');
        let (first, last) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self {
            owner,
            announced: Some((first, last, words.next()?.to_owned())),
        })
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{}", self.owner)?;
        match &self.announced {
            Some((first, last, layout)) => writeln!(formatter, "{first} {last} {layout}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
