//! Tells a process when to read its settings again: on SIGHUP, and when the file of the settings changes.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::settings::CommonArgs;

/// How often the file is looked at. Looking works on every file system, and through the links
/// by which orchestrators replace a whole folder of settings.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Wishes to read the settings again; several in a row are one.
#[derive(Debug)]
pub struct Reload {
    wishes: watch::Receiver<u64>,
}

/// What can be seen of a file without reading it; `None` while it is not there.
type Look = Option<(SystemTime, u64)>;

impl Reload {
    /// Watches from now on, on a thread of its own.
    ///
    /// # Errors
    /// When the system refuses the signal handler or the thread.
    pub fn on_signal_or_change(args: &CommonArgs) -> io::Result<Self> {
        let (sender, wishes) = watch::channel(0);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut hangup = {
            let _context = runtime.enter();
            signal(SignalKind::hangup())?
        };
        let file = args.config.clone();
        let mut seen = look(file.as_ref());
        let watch_both = async move {
            loop {
                let signalled = tokio::select! {
                    signal = hangup.recv() => signal.is_some(),
                    () = tokio::time::sleep(LOOK_INTERVAL) => false,
                };
                let now = look(file.as_ref());
                // A file that is being replaced may be missing for a moment.
                if signalled || (now != seen && now.is_some()) {
                    sender.send_modify(|wishes| *wishes += 1);
                }
                seen = now.or(seen);
            }
        };
        std::thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || runtime.block_on(watch_both))?;
        Ok(Self { wishes })
    }

    /// Returns when there is a new wish, on any async runtime.
    pub async fn wanted(&mut self) {
        if self.wishes.changed().await.is_err() {
            // The thread has gone with the process; nobody wishes any more.
            std::future::pending::<()>().await;
        }
    }
}

fn look(file: Option<&PathBuf>) -> Look {
    let metadata = fs::metadata(file?).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_of_the_file_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let args = CommonArgs {
            config: Some(file.path().to_owned()),
            ..CommonArgs::default()
        };
        let mut reload = Reload::on_signal_or_change(&args).unwrap();
        fs::write(file.path(), "a = 1").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let noticed = runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(30), reload.wanted()).await
        });
        assert!(noticed.is_ok());
    }
}
