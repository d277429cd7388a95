//! Predictions as a table of 80 columns: a line per row, a column per output.

use std::io::Write;

use millrace_wire::Record;
use serde_json::Value;

use crate::predictions::{outputs, short};

const WIDTH: usize = 80;
const GAP: usize = 2;
/// A column is not made narrower than this.
const LEAST: usize = 6;

/// Writes a line of names and one per row.
pub(super) fn write(record: &Record, out: &mut impl Write) -> anyhow::Result<()> {
    let rows = outputs(record)?;
    let names: Vec<&str> = record
        .columns()
        .iter()
        .map(|column| column.name())
        .collect();
    let mut cells = vec![
        ["ROW"]
            .iter()
            .chain(&names)
            .map(|name| (*name).to_owned())
            .collect(),
    ];
    for (number, row) in rows.iter().enumerate() {
        let mut line: Vec<String> = vec![number.to_string()];
        line.extend(
            names
                .iter()
                .map(|name| row.get(*name).map_or(String::new(), cell)),
        );
        cells.push(line);
    }
    let widths = widths(&cells);
    for line in &cells {
        let mut text = String::new();
        for (cell, &width) in line.iter().zip(&widths) {
            text.push_str(&format!("{:width$}{:GAP$}", shortened(cell, width), ""));
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => short(other),
    };
    // A line break in a value would begin a new line.
    text.replace(char::is_control, " ")
}

/// What each column needs; the widest ones give until all fit, as far as that goes.
fn widths(cells: &[Vec<String>]) -> Vec<usize> {
    let columns = cells.first().map_or(0, Vec::len);
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max();
    let mut widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let gaps = GAP * columns.saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > WIDTH {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > LEAST) else {
            break;
        };
        *widest -= 1;
    }
    widths
}

fn shortened(text: &str, room: usize) -> String {
    match text.chars().count() <= room {
        true => text.to_owned(),
        false => text
            .chars()
            .take(room.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::buffer::Buffer;
    use millrace_wire::{DType, Tensor, encode_tensors};

    use super::*;

    #[test]
    fn wide_outputs_give_way_to_narrow_ones_and_lines_end_at_80() {
        let scores = vec![0.25_f32; 40];
        let scores = Tensor::fixed(
            "scores",
            DType::Float32,
            vec![2, 20],
            Buffer::from_vec(scores),
        );
        let label = Tensor::fixed(
            "label",
            DType::Int64,
            vec![2],
            Buffer::from_vec(vec![3_i64, 4]),
        );
        let record = encode_tensors(&[scores.unwrap(), label.unwrap()]).unwrap();
        let record = Record::decode(record, &Default::default()).unwrap();
        let mut out = Vec::new();
        write(&record, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[0].starts_with("ROW  scores") && lines[0].ends_with("label"),
            "{text}"
        );
        assert!(
            lines[2].starts_with("1    [0.25") && lines[2].ends_with("…  4"),
            "{text}"
        );
        assert!(
            lines.iter().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}
