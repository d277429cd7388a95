//! A model's native code can end the process: it crashes, or it hangs and the process has to be ended. Whoever starts the
//! process anew would start it for ever, so it remembers what it was doing when it died.
//!
//! What runs is noted in a journal ([`journal`]) in the state folder ([`folder`]); the next process counts the deaths
//! ([`deaths`]). A record that was running at two of them is tried alone, in a process of its own ([`trial`]): what
//! answers there is answered, and only what dies there too is refused. A kill from outside therefore condemns nobody.
//! A model version that was being loaded at two deaths is tried in a process of its own before it is loaded again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tracing::warn;

use crate::fatal::Fatal;

mod deaths;
mod folder;
mod journal;
mod trial;
mod watch;

use deaths::{Deaths, LoadAdvice};
use folder::Folder;
pub(crate) use journal::Journal;
pub(crate) use trial::{Trial, TrialCommand, serve};
use watch::{Slot, Slots};

/// Records of one topic that ran when processes died: partition and offset → deaths.
pub(crate) type Suspects = Arc<HashMap<(i32, i64), u32>>;

/// How long runs and loads may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimits {
    pub(crate) run: Duration,
    pub(crate) load: Duration,
    /// How long the process may take to end after a run or load was given up.
    pub(crate) end: Duration,
}

/// Remembers what was running when processes died. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Safety {
    /// `None` where there is no state folder: then only times are watched.
    folder: Option<Arc<Folder>>,
    suspects: Arc<HashMap<String, Suspects>>,
    slots: Slots,
    command: TrialCommand,
}

/// A load that is going on; noted until it is dropped.
#[derive(Debug)]
pub(crate) struct Loading<'a> {
    safety: &'a Safety,
    load: LoadOf<'a>,
    /// Processes have died of it before.
    has_died: bool,
    _journal: Journal,
}

impl Loading<'_> {
    /// It went well: deaths before it were not its fault.
    pub(crate) fn done(self) {
        if let (true, Some(folder)) = (self.has_died, &self.safety.folder)
            && let Err(error) = folder.change(|deaths| deaths.absolve_load(self.load.key()))
        {
            warn!(%error, "the state folder cannot be written");
        }
    }
}

/// A version of a model with the files it has today.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadOf<'a> {
    pub(crate) model: &'a str,
    pub(crate) version: i64,
    /// Another one as soon as its files are others.
    pub(crate) fingerprint: &'a str,
}

impl<'a> LoadOf<'a> {
    fn key(self) -> (&'a str, i64, &'a str) {
        (self.model, self.version, self.fingerprint)
    }
}

impl Safety {
    /// Opens the state folder and begins to watch the times. Without `path` the folder is below the system's folder of
    /// temporary files, and it is no fault if it cannot be had.
    ///
    /// # Errors
    /// When a folder that is set cannot be used.
    pub(crate) fn start(
        path: Option<&Path>,
        command: TrialCommand,
        fatal: Fatal,
    ) -> anyhow::Result<Self> {
        let limits = command.limits;
        let opened = match path {
            Some(path) => Some(Folder::open(path)?),
            None => match default_folder() {
                Ok(opened) => Some(opened),
                Err(error) => {
                    warn!(
                        "what runs is not remembered, so a record that crashes a model would crash it again and again: \
                         {error:#}"
                    );
                    None
                }
            },
        };
        let (folder, deaths) = opened.unzip();
        let safety = Self {
            folder: folder.map(Arc::new),
            suspects: Arc::new(by_topic(&deaths.unwrap_or_default())),
            slots: Slots::default(),
            command,
        };
        let interval = (limits.run.min(limits.load) / 10)
            .clamp(Duration::from_millis(10), Duration::from_secs(1));
        watch::start(&safety.slots, interval, limits.end, fatal)?;
        Ok(safety)
    }

    /// The journal of one engine thread.
    pub(crate) fn journal(&self, model: &str, version: i64) -> Journal {
        let name = format!("a run of model {model} version {version}");
        let slot = self.slot(name, self.command.limits.run);
        Journal::of_batches(self.journal_file(), slot, (model, version))
    }

    /// The records of a topic that have to be tried apart.
    pub(crate) fn suspects(&self, topic: &str) -> Option<Suspects> {
        self.suspects.get(topic).cloned()
    }

    /// A process of its own for what may end one.
    pub(crate) fn trial(&self, model: &str, version: i64) -> Trial {
        Trial::new(self.command.clone(), model, version)
    }

    /// Notes that a model version is being loaded, until the answer is dropped. If processes have died of it, it is
    /// tried in a process of its own first.
    ///
    /// # Errors
    /// A sentence, if the version must not be loaded until its files change.
    pub(crate) fn begin_load<'a>(&'a self, load: LoadOf<'a>) -> anyhow::Result<Loading<'a>> {
        let has_died = match &self.folder {
            Some(folder) => self.check_load(load, folder)?,
            None => false,
        };
        let name = format!("loading model {} version {}", load.model, load.version);
        let slot = self.slot(name, self.command.limits.load);
        Ok(Loading {
            safety: self,
            load,
            has_died,
            _journal: Journal::of_load(self.journal_file(), slot, load.key()),
        })
    }

    /// Whether processes died of this load; an error if it must not be tried.
    fn check_load(&self, load: LoadOf<'_>, folder: &Folder) -> anyhow::Result<bool> {
        let LoadOf { model, version, .. } = load;
        let deaths = folder.change(|_| ()).context("the state folder")?;
        let count = match deaths.advice(load.key()) {
            LoadAdvice::Go => return Ok(deaths.has_died(load.key())),
            LoadAdvice::Refuse(reason) => anyhow::bail!(reason),
            LoadAdvice::TryApart(count) => count,
        };
        warn!(
            model,
            version,
            deaths = count,
            "processes died while they loaded it: trying it in one of its own"
        );
        let Err(died) = self.trial(model, version).load() else {
            return Ok(true);
        };
        let reason = format!(
            "{count} processes died while they loaded it, and when it was tried alone {died}; it is not tried again \
             until its files change"
        );
        folder
            .change(|deaths| deaths.refuse_load(load.key(), &reason))
            .context("the state folder")?;
        anyhow::bail!(reason)
    }

    /// The process ends as it should. What hangs stays noted.
    pub(crate) fn close(&self) {
        if let Some(folder) = &self.folder
            && !self.slots.any_overdue()
        {
            folder.remove();
        }
    }

    fn slot(&self, name: String, limit: Duration) -> Arc<Slot> {
        let slot = Arc::new(Slot::new(name, limit));
        self.slots.add(&slot);
        slot
    }

    fn journal_file(&self) -> Option<(std::fs::File, PathBuf)> {
        self.folder.as_ref()?.journal_file()
    }
}

fn by_topic(deaths: &Deaths) -> HashMap<String, Suspects> {
    let suspects = deaths.suspects().into_iter();
    suspects
        .map(|(topic, records)| (topic, Arc::new(records)))
        .collect()
}

/// Where everybody may make folders, one of this name may be somebody else's.
fn default_folder() -> anyhow::Result<(Folder, Deaths)> {
    use std::os::unix::fs::MetadataExt as _;

    let user = rustix::process::getuid().as_raw();
    let path = std::env::temp_dir().join(format!("millrace-infer-{user}"));
    let opened = Folder::open(&path)?;
    let owner = std::fs::symlink_metadata(&path)?;
    anyhow::ensure!(
        owner.is_dir() && owner.uid() == user,
        "{} is not a folder of this user; set `state.path`",
        path.display()
    );
    Ok(opened)
}
