//! A text file line by line, blank ones left out.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};

/// The longest line, in bytes: no record may be longer.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// The lines of a file that hold something.
pub(super) struct Lines {
    reader: BufReader<File>,
    shown: String,
    line: Vec<u8>,
    /// Of the current line, from 1.
    pub(super) number: u64,
    /// Up to the end of the current line.
    pub(super) bytes: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 20, file),
            shown,
            line: Vec::new(),
            number: 0,
            bytes: 0,
        })
    }

    /// Goes to the next line that is not blank, if there is one.
    pub(super) fn next(&mut self) -> anyhow::Result<bool> {
        loop {
            self.line.clear();
            let mut limited = self.reader.by_ref().take(MAX_LINE_BYTES + 1);
            let read = limited.read_until(b'\n', &mut self.line);
            let read = read.with_context(|| format!("cannot read {}", self.shown))? as u64;
            self.number += 1;
            self.bytes += read;
            if read > MAX_LINE_BYTES {
                bail!(
                    "{}, line {}, column 1: the line has more than {MAX_LINE_BYTES} bytes, no record may be longer",
                    self.shown,
                    self.number
                );
            }
            if read == 0 {
                return Ok(false);
            }
            self.line.truncate(self.line.trim_ascii_end().len());
            if !self.line.is_empty() {
                return Ok(true);
            }
        }
    }

    /// The current line.
    ///
    /// # Errors
    /// It is not UTF-8, as a sentence with the column.
    pub(super) fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.line)
            .map_err(|error| format!("column {}: not UTF-8", error.valid_up_to() + 1))
    }

    /// The current line, with replacements for what is not UTF-8.
    pub(super) fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.line).into_owned()
    }
}
