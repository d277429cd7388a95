//! Answers as a table for people, 80 columns wide, or as JSON for programs.

use std::io::{self, Write};

use serde::Serialize;

/// How wide a table is at most.
pub(crate) const WIDTH: usize = 80;
const LEAST_LAST_COLUMN: usize = 20;
const GAP: usize = 2;

/// How to print answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// A table, 80 columns wide; its last column is shortened.
    Text,
    /// JSON, complete: an array of the lines of a table, an object for one thing, and a line for
    /// each element where they come one after another.
    Json,
}

/// One line of a table.
pub(crate) trait Line: Serialize {
    /// Headings of the columns.
    const HEADINGS: &'static [&'static str];

    /// One cell per heading.
    fn cells(&self) -> Vec<String>;
}

/// Prints all lines to standard output; `nothing` is the sentence for a table without any.
pub(crate) fn print<L: Line>(output: Output, lines: &[L], nothing: &str) -> anyhow::Result<()> {
    match output {
        Output::Json => json(lines),
        Output::Text if lines.is_empty() => write(format!("{nothing}\n").as_bytes()),
        Output::Text => write(table(lines).as_bytes()),
    }
}

/// Prints one value as JSON to standard output.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write(text.as_bytes())
}

/// Writes to standard output; a closed pipe is an error that ends the command quietly.
pub(crate) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// One line of a table that grows at its end: its widths cannot follow what is to come.
pub(crate) fn columns<S: AsRef<str>>(cells: &[S; 5]) -> String {
    const WIDTHS: [usize; 4] = [12, 16, 9, 12];
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let cell = shortened(&plain(cell.as_ref()), width - GAP);
        line.push_str(&format!("{cell:width$}"));
    }
    let room = WIDTH - WIDTHS.iter().sum::<usize>();
    line.push_str(&shortened(&plain(cells[4].as_ref()), room));
    line.truncate(line.trim_end().len());
    line
}

/// Lines under their headings, each at most 80 columns wide unless the columns before the last one
/// need more.
pub(crate) fn table<L: Line>(lines: &[L]) -> String {
    let mut rows: Vec<Vec<String>> = vec![L::HEADINGS.iter().map(|&cell| cell.into()).collect()];
    for line in lines {
        rows.push(line.cells().iter().map(|cell| plain(cell)).collect());
    }
    let last = L::HEADINGS.len() - 1;
    let widths: Vec<usize> = (0..last).map(|column| width(&rows, column)).collect();
    let used: usize = widths.iter().map(|width| width + GAP).sum();
    let room = WIDTH.saturating_sub(used).max(LEAST_LAST_COLUMN);
    let mut text = String::new();
    for row in &rows {
        for (cell, &width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}{:GAP$}", ""));
        }
        text.push_str(&shortened(&row[last], room));
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// Text from outside, fit for a terminal: a line break would begin a new line, an escape do worse.
pub(crate) fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn width(rows: &[Vec<String>], column: usize) -> usize {
    let widths = rows.iter().map(|row| row[column].chars().count());
    widths.max().unwrap_or(0)
}

/// At most so many characters; the last one shows that there were more.
pub(crate) fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars()
        .take(room.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, String);

    impl Line for Pair {
        const HEADINGS: &'static [&'static str] = &["NAME", "WHY"];

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.clone()]
        }
    }

    #[test]
    fn columns_are_aligned_and_lines_end_at_80() {
        let text = table(&[Pair("a", "b".to_owned()), Pair("longer", "é".repeat(200))]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NAME    WHY");
        assert_eq!(lines[1], "a       b");
        assert_eq!(lines[2].chars().count(), 80);
        assert!(lines[2].ends_with('…'));
    }

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        let text = table(&[Pair("a\nb", "\u{1b}[2Jgone".to_owned())]);
        assert_eq!(text.lines().nth(1), Some("a b    [2Jgone"));
    }
}
