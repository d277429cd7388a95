//! Stops what was started even if this process is killed: a shell that reads from a pipe, whose
//! end it sees when we are gone, and then signals the processes that it was told of.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

/// Ctrl-C and a closed terminal are ours to handle. A line is a process to be stopped some day, or
/// none of them any more.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=
while read -r line; do
  case "$line" in
    dismissed) exit 0 ;;
    gone\ *) kept=; for pid in $pids; do [ "$pid" = "${line#gone }" ] || kept="$kept $pid"; done; pids=$kept ;;
    *) pids="$pids $line" ;;
  esac
done
[ -z "$pids" ] || kill -TERM $pids
"#;

/// The shell.
pub(super) struct Guard {
    child: Child,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("/bin/sh does not start")?;
        let pipe = Mutex::new(child.stdin.take());
        Ok(Self { child, pipe })
    }

    /// A process to stop when we are gone.
    pub(super) fn watch(&self, pid: u32) -> anyhow::Result<()> {
        self.write(&pid.to_string())
    }

    /// A process that has ended: its number may be another one's soon.
    pub(super) fn forget(&self, pid: u32) {
        // Without the guard there is nobody to forget it.
        let _ = self.write(&format!("gone {pid}"));
    }

    /// All processes have ended.
    pub(super) fn dismiss(&mut self) {
        let _ = self.write("dismissed");
        self.pipe
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let _ = self.child.wait();
    }

    fn write(&self, line: &str) -> anyhow::Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = pipe.as_mut().context("the guard was dismissed")?;
        writeln!(pipe, "{line}").context("the guard has ended")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    fn ends(child: &mut Child) -> bool {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            if child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    #[test]
    fn what_is_watched_ends_with_us_and_what_was_forgotten_does_not() {
        let (mut watched, mut forgotten) = (sleeper(), sleeper());
        let mut guard = Guard::start().unwrap();
        guard.watch(watched.id()).unwrap();
        guard.watch(forgotten.id()).unwrap();
        guard.forget(forgotten.id());
        // As when this process is gone: the pipe has no writer.
        guard.pipe.get_mut().unwrap().take();
        assert!(ends(&mut watched));
        guard.child.wait().unwrap();
        assert!(forgotten.try_wait().unwrap().is_none());
        forgotten.kill().unwrap();
        forgotten.wait().unwrap();
    }

    #[test]
    fn a_dismissed_guard_leaves_everything_alone() {
        let mut left = sleeper();
        let mut guard = Guard::start().unwrap();
        guard.watch(left.id()).unwrap();
        guard.dismiss();
        assert!(left.try_wait().unwrap().is_none());
        left.kill().unwrap();
        left.wait().unwrap();
    }
}
