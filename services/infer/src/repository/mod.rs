//! Which models and versions there are, and their files on this machine: `<name>/<version>/…`, and optionally
//! `<name>/model.toml`, in a folder, an object store or behind a web server. Knows nothing of engines' insides, of Kafka or
//! of what is served at the moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tracing::warn;

use crate::settings::{Settings, is_topic_name};

mod cache;
mod confine;
mod converted;
mod crypt;
mod detect;
mod digest;
mod entry;
mod error;
mod layout;
mod local;
mod options;
mod place;
mod remote;
mod scratch;
mod source;
mod sums;

pub(crate) use digest::Fingerprint;
pub(crate) use entry::{ModelEntry, VersionEntry};
pub(crate) use error::ModelError;
pub use options::{Channels, Filter, ImageOptions, Layout, Orientation, ResizeTo};
pub(crate) use options::{
    ImageSections, ModelOptions, OutputOptions, Policy, ReadingOptions, Treatment, VersionOptions,
};
pub(crate) use place::Place;
pub(crate) use source::{ModelSource, OpenFiles};

use cache::{Cache, Cached};
use converted::Conversions;
use crypt::{Encryption, Vault, plain_name};
use layout::Listing;
use remote::{Remote, Wanted};
use source::Held;

/// The longest name of a model, in bytes: it is part of topics' names.
const LONGEST_NAME: usize = 80;
/// With this behind its name a model's requests topic is that of its bulk lane.
pub(crate) const BULK_END: &str = ".bulk";

/// A repository that is open. Cheap to clone; every call may read the disk or the network, so it belongs on a thread that
/// may wait.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    names: Vec<String>,
    general: ModelOptions,
    vault: Arc<Vault>,
    conversions: Arc<Conversions>,
}

#[derive(Debug)]
enum Source {
    Folder(PathBuf),
    Remote(Box<Remote>, Cache),
}

/// What a scan reads at once.
enum Found {
    Folder,
    Remote(Listing),
}

impl Repository {
    /// Opens what `models.path` names; `models.names` limits which models there are. Of a URL nothing is asked yet.
    ///
    /// # Errors
    /// The folder cannot be listed, or the settings of the store or the key are wrong.
    pub(crate) fn open(settings: &Settings) -> Result<Self, ModelError> {
        let models = &settings.models;
        let place = Place::parse(&models.path).map_err(|problem| ModelError::Store {
            url: models.path.display().to_string(),
            problem,
        })?;
        let source = match place {
            Place::Folder(folder) => {
                local::models(&folder)?;
                Source::Folder(folder)
            }
            Place::Remote { store, url, prefix } => Source::Remote(
                Box::new(Remote::open(store, url, prefix, models)?),
                Cache::new(&models.cache, models.cache_bytes),
            ),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                source,
                names: models.names.clone(),
                general: ModelOptions::general(settings),
                vault: Arc::new(Vault::open(models)?),
                conversions: Arc::new(Conversions::new(&models.cache, models.cache_bytes)),
            }),
        })
    }

    /// The models to serve, by name. A model with a fault is part of the answer, so that the others can be served.
    ///
    /// # Errors
    /// [`ModelError::Read`] or [`ModelError::Remote`]: the place cannot be read now. [`ModelError::NoModels`] or
    /// [`ModelError::Missing`]: the settings are wrong as a whole.
    pub(crate) fn scan(&self) -> Result<Vec<ModelEntry>, ModelError> {
        let (found, present) = match &self.inner.source {
            Source::Folder(folder) => (Found::Folder, local::models(folder)?),
            Source::Remote(remote, _) => {
                let listing = remote.list()?;
                let present = listing.models.keys().cloned().collect();
                (Found::Remote(listing), present)
            }
        };
        if present.is_empty() {
            return Err(ModelError::NoModels {
                place: self.place(),
            });
        }
        let names: BTreeSet<String> = if self.inner.names.is_empty() {
            present.clone()
        } else {
            self.inner.names.iter().cloned().collect()
        };
        if let Some(name) = names.iter().find(|name| !present.contains(*name)) {
            return Err(ModelError::Missing {
                name: name.clone(),
                place: self.place(),
                present: Vec::from_iter(present.iter().map(String::as_str)).join(", "),
            });
        }
        let entry = |name| self.entry(name, &found);
        Ok(names.into_iter().map(entry).collect())
    }

    /// Brings the files of one version here and verifies them.
    ///
    /// # Errors
    /// What is wrong with this version; others are not concerned.
    pub(crate) fn fetch(
        &self,
        name: &str,
        version: &VersionEntry,
    ) -> Result<ModelSource, ModelError> {
        match &self.inner.source {
            Source::Folder(root) => {
                let folder = root.join(name).join(version.version.to_string());
                if local::fingerprint(&folder)? != version.fingerprint {
                    return Err(ModelError::Changed {
                        place: folder.display().to_string(),
                    });
                }
                let options = self.options(name, &Found::Folder)?;
                let here = Here {
                    folder,
                    root: root.clone(),
                    cached: None,
                };
                self.verify(name, version, (options, here))
            }
            Source::Remote(remote, cache) => {
                let listing = remote.list()?;
                let cached = fetch_remote(remote, cache, (name, version), &listing)?;
                let options = self.options(name, &Found::Remote(listing))?;
                let here = Here {
                    folder: cached.folder.clone(),
                    root: cached.folder.clone(),
                    cached: Some(cached),
                };
                self.verify(name, version, (options, here))
            }
        }
    }

    /// Hashes all files of a version that is here, and tells what it is.
    fn verify(
        &self,
        name: &str,
        version: &VersionEntry,
        (options, here): (ModelOptions, Here),
    ) -> Result<ModelSource, ModelError> {
        let place = here.folder.display().to_string();
        let fingerprint = local::fingerprint(&here.folder)?;
        let files = local::files(&here.folder)?;
        confine::check_links(&here.root, &here.folder, &files)?;
        let (digests, sizes) = digest::all(&here.folder, &files)?;
        let plain: Vec<String> = files
            .iter()
            .map(|file| plain_name(file).to_owned())
            .collect();
        let detected = detect::detect(&place, &plain, options.kind)?;
        let encryption = encryption(&here.folder, &files, (&options, &detected))?;
        let held = Held {
            folder: here.folder,
            root: here.root,
            files,
            detected,
            fingerprint,
            encryption,
            vault: Arc::clone(&self.inner.vault),
            conversions: Arc::clone(&self.inner.conversions),
            _cached: here.cached,
        };
        let weights = held.weights()?;
        check_sums(&held.folder, &digests, &weights)?;
        held.check_unchanged()?;
        let of_weights = |file: &String| Some((file.clone(), *digests.get(file)?));
        let hashed: BTreeMap<String, [u8; 32]> = weights.iter().filter_map(of_weights).collect();
        Ok(ModelSource {
            name: name.to_owned(),
            version: version.version,
            sha256: digest::combined(&hashed),
            options,
            size_bytes: weights.iter().filter_map(|file| sizes.get(file)).sum(),
            held: Arc::new(held),
        })
    }

    fn place(&self) -> String {
        match &self.inner.source {
            Source::Folder(folder) => folder.display().to_string(),
            Source::Remote(remote, _) => remote.url().to_owned(),
        }
    }

    fn entry(&self, name: String, found: &Found) -> ModelEntry {
        if let Err(error) = check_name(&name) {
            return ModelEntry {
                options: Err(error),
                name,
                versions: Vec::new(),
            };
        }
        match self.versions(&name, found) {
            Ok(versions) => ModelEntry {
                options: self.options(&name, found),
                name,
                versions,
            },
            Err(error) => ModelEntry {
                name,
                options: Err(error),
                versions: Vec::new(),
            },
        }
    }

    fn versions(&self, name: &str, found: &Found) -> Result<Vec<VersionEntry>, ModelError> {
        let mut versions = Vec::new();
        match (&self.inner.source, found) {
            (_, Found::Remote(listing)) => {
                let model = listing.models.get(name);
                for (version, files) in model.iter().flat_map(|model| &model.versions) {
                    versions.push(VersionEntry {
                        version: *version,
                        fingerprint: Fingerprint::of(files.clone()),
                    });
                }
            }
            (Source::Folder(root), Found::Folder) => {
                for (version, folder) in local::versions(&root.join(name))? {
                    versions.push(VersionEntry {
                        version,
                        fingerprint: local::fingerprint(&folder)?,
                    });
                }
            }
            (Source::Remote(..), Found::Folder) => {}
        }
        Ok(versions)
    }

    fn options(&self, name: &str, found: &Found) -> Result<ModelOptions, ModelError> {
        let file = format!("{}/{name}/{}", self.place(), layout::OPTIONS);
        let text = match (&self.inner.source, found) {
            (Source::Folder(root), _) => local::text(&root.join(name).join(layout::OPTIONS))?,
            (Source::Remote(remote, _), Found::Remote(listing)) => {
                let state = listing
                    .models
                    .get(name)
                    .and_then(|model| model.options.as_ref());
                let path = format!("{name}/{}", layout::OPTIONS);
                state.map(|state| remote.text(&path, state)).transpose()?
            }
            (Source::Remote(..), Found::Folder) => None,
        };
        match text {
            Some(text) => self.inner.general.changed_by(&file, &text),
            None => Ok(self.inner.general.clone()),
        }
    }
}

fn check_name(name: &str) -> Result<(), ModelError> {
    let owned = || name.to_owned();
    if !is_topic_name(name) || name.len() > LONGEST_NAME {
        return Err(ModelError::Name { name: owned() });
    }
    if name.ends_with(BULK_END) {
        return Err(ModelError::BulkName { name: owned() });
    }
    Ok(())
}

/// A version's folder on this machine.
struct Here {
    folder: PathBuf,
    root: PathBuf,
    cached: Option<Cached>,
}

/// The version out of the cache if its files are what was downloaded, else downloaded anew.
fn fetch_remote(
    remote: &Remote,
    cache: &Cache,
    (name, version): (&str, &VersionEntry),
    listing: &Listing,
) -> Result<Cached, ModelError> {
    let place = format!("{name}/{}", version.version);
    let files = listing
        .models
        .get(name)
        .and_then(|model| model.versions.get(&version.version))
        .filter(|files| Fingerprint::of((*files).clone()) == version.fingerprint)
        .ok_or_else(|| ModelError::Changed {
            place: format!("{}/{place}", remote.url()),
        })?;
    let key = format!(
        "{}\n{place}\n{}",
        remote.url(),
        version.fingerprint.as_str()
    );
    let key = digest::hex(&Sha256::digest(key));
    if let Some(cached) = cache.get(&key)? {
        let present = local::files(&cached.folder)?;
        let (digests, _) = digest::all(&cached.folder, &present)?;
        if digests == cached.sums {
            return Ok(cached);
        }
        warn!(
            place,
            "files in the cache were changed; they are downloaded again"
        );
        drop(cached);
        if !cache.remove(&key)? {
            let place = format!("the cache's copy of {}/{place}", remote.url());
            return Err(ModelError::Changed { place });
        }
    }
    let wanted = Wanted {
        place,
        files: files.clone(),
        limit_bytes: cache.limit_bytes(),
    };
    let size_bytes = files.iter().map(|file| file.size).sum();
    cache.add(&key, size_bytes, |into| remote.download(&wanted, into))
}

/// Which files are encrypted: those that say so, and with an old format those of the model.
fn encryption(
    folder: &Path,
    files: &[String],
    (options, detected): (&ModelOptions, &detect::Detected),
) -> Result<Option<Encryption>, ModelError> {
    let mut encrypted = crypt::encrypted_files(folder, files)?;
    let old_format = options.encryption.old_format();
    if old_format.is_some() {
        let is_model = |file: &&String| {
            !encrypted.contains(file) && detected.files.iter().any(|name| name == plain_name(file))
        };
        let old: Vec<String> = files.iter().filter(is_model).cloned().collect();
        encrypted.extend(old);
    }
    Ok((!encrypted.is_empty()).then_some(Encryption {
        files: encrypted,
        old_format,
    }))
}

/// Compares the files with `SHA256SUMS` in their folder, if there is one.
fn check_sums(folder: &Path, digests: &sums::Sums, weights: &[String]) -> Result<(), ModelError> {
    let Some(text) = local::text(&folder.join(sums::FILE))? else {
        return Ok(());
    };
    let checked = sums::parse(&text)
        .map_err(|problem| format!("{} {problem}", sums::FILE))
        .and_then(|listed| sums::check(&listed, digests, weights));
    checked.map_err(|problem| ModelError::Checksum {
        place: folder.display().to_string(),
        problem,
    })
}

#[cfg(test)]
mod tests;
