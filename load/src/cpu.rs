//! Processor time and memory of processes, from Linux's /proc.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

/// Linux counts a process's time for user space in hundredths of a second, whatever its own tick is.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Processor seconds, user and system, all threads.
    pub cpu_s: f64,
    /// The most memory it has held, in MiB.
    pub peak_rss_mib: f64,
}

/// Processor time of a process, in steps of 10 ms.
///
/// # Errors
/// When there is no such process.
pub fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("process {pid} is gone"))?;
    let ticks =
        parse_stat(&text).with_context(|| format!("{path} is not as expected: {text:?}"))?;
    Ok(TICK * ticks)
}

/// Processor time of the calling thread, in nanoseconds.
///
/// # Errors
/// When the kernel does not tell.
pub fn of_this_thread() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")
        .context("the kernel keeps no schedstat")?;
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Ok(Duration::from_nanos(nanoseconds.with_context(|| {
        format!("schedstat is not as expected: {text:?}")
    })?))
}

/// Processor time and peak memory of a process.
///
/// # Errors
/// When there is no such process.
pub fn usage(pid: u32) -> anyhow::Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = peak
        .and_then(|text| text.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or_default();
    Ok(Usage {
        cpu_s: of_process(pid)?.as_secs_f64(),
        peak_rss_mib: kib / 1024.0,
    })
}

/// The pid of the local broker that listens at this address, if it is one that `scripts/broker` started.
#[must_use]
pub fn broker_pid(address: &str) -> Option<u32> {
    let listener = format!("PLAINTEXT://{address}");
    let pids = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = command.trim_end_matches('\0').rsplit('\0');
        let (properties, class) = (words.next().unwrap_or_default(), words.next());
        let settings = || fs::read_to_string(properties).unwrap_or_default();
        class == Some("kafka.Kafka")
            && settings()
                .lines()
                .filter_map(|line| line.strip_prefix("listeners="))
                .any(|list| list.split(',').any(|one| one == listener))
    })
}

/// Ticks in user and in system mode: the 14th and 15th field. The second, the name, may hold blanks and brackets.
fn parse_stat(text: &str) -> Option<u32> {
    let (_, after_name) = text.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 300 45 0 0 20 0";
        assert_eq!(parse_stat(stat), Some(345));
        assert_eq!(parse_stat("42 (name"), None);
    }

    #[test]
    fn a_busy_process_uses_processor_time() {
        let before = of_process(std::process::id()).unwrap();
        let thread_before = of_this_thread().unwrap();
        let start = Instant::now();
        while of_this_thread().unwrap() < thread_before + Duration::from_millis(50) {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "this thread gets no processor time"
            );
        }
        assert!(of_process(std::process::id()).unwrap() >= before + Duration::from_millis(30));
        assert!(usage(std::process::id()).unwrap().peak_rss_mib > 1.0);
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(of_process(u32::MAX).is_err());
        assert_eq!(broker_pid("127.0.0.1:1"), None);
    }
}
