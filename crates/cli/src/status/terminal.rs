//! The terminal as a screen that is drawn anew: a second page, which leaves the first one alone.

use std::io::{self, IsTerminal, Write};

use super::screen;
use super::snapshot::Snapshot;

const OPEN: &str = "\x1b[?1049h\x1b[?25l";
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";

/// Shown and given back when dropped.
pub(super) struct Terminal(());

impl Terminal {
    /// `None` if standard output is no terminal.
    pub(super) fn of_stdout() -> Option<Self> {
        // Not `then_some`: what is made and dropped gives a screen back.
        io::stdout().is_terminal().then(|| Self(()))
    }

    /// Draws the snapshot, and what stands in the way of a newer one.
    pub(super) fn show(&mut self, snapshot: &Snapshot, trouble: Option<&str>) -> io::Result<()> {
        let size = terminal_size::terminal_size();
        let (width, height) = size.map_or((80, 24), |(width, height)| {
            (usize::from(width.0), usize::from(height.0))
        });
        // The last line is for what we say ourselves.
        let screen = screen::draw(snapshot, (width, height.saturating_sub(1)));
        let last = trouble.unwrap_or("Ctrl-C ends");
        let mut frame = format!("{OPEN}\x1b[H");
        for line in screen.lines() {
            frame.push_str(line);
            // What stood there before goes with the rest of its line.
            frame.push_str("\x1b[K\r\n");
        }
        let room = width.saturating_sub(1);
        let last = crate::output::shortened(&crate::output::plain(last), room);
        frame.push_str(&format!("\x1b[J\x1b[{height};1H{last}\x1b[K"));
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = io::stdout().write_all(CLOSE.as_bytes());
        let _ = io::stdout().flush();
    }
}
