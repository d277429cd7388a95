//! Drains a backlog of results into Parquet files, beside the bare Parquet writer that gets the
//! same rows from memory, in turns. Prints a table.
//!
//! `scripts/with-broker cargo bench --workspace --bench backlog -- --records 1000000 --scores 10`
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be set up has failed"
)]

mod scene;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use scene::{Backlog, Measured, ROUNDS, cpu_of, measured, option, peak_mib};

fn main() {
    let (records, scores) = (option("--records", 1_000_000), option("--scores", 10));
    let backlog = Backlog::new(records, scores);
    let mut out = std::io::stdout();
    let title = format!("{records} results of {scores} scores and a label, zstd level 1");
    let head = "| | rows/s | CPU µs/row | peak MiB | by rate | by CPU |";
    writeln!(out, "{title}\n\n{head}\n|---|---:|---:|---:|---:|---:|").unwrap();
    for round in 0..ROUNDS {
        let files = backlog.folder.path().join(format!("round{round}"));
        let (sink, sink_mib) = drain(&backlog, round, &files);
        let bare = bare(&backlog, &files);
        let bare_mib = peak_mib(std::process::id());
        let line = |name: &str, it: &Measured, mib: u64, ratios: &str| {
            let (rate, cpu) = (it.rows_per_second, it.cpu_us_per_row);
            format!("| {name} | {rate:.0} | {cpu:.2} | {mib} | {ratios} |")
        };
        let by_rate = sink.rows_per_second / bare.rows_per_second;
        let by_cpu = bare.cpu_us_per_row / sink.cpu_us_per_row;
        let ratios = format!("{by_rate:.2} | {by_cpu:.2}");
        writeln!(out, "{}", line("bare writer", &bare, bare_mib, "|")).unwrap();
        writeln!(out, "{}", line("sink", &sink, sink_mib, &ratios)).unwrap();
    }
}

/// Runs a sink until all is written, and says how much memory it had at most.
fn drain(backlog: &Backlog, round: usize, files: &Path) -> (Measured, u64) {
    let rest = format!(
        "[pipelines.destination]\ntype = \"files\"\nurl = {files:?}\n\
         [pipelines.roll]\nrows = 50000\nage = \"1s\"\n"
    );
    let sink = backlog.start(&format!("round{round}"), &rest);
    let measured = backlog.drain(&sink);
    (measured, peak_mib(sink.id()))
}

/// Writes the rows of the files again, from memory, each to a file that is synced.
fn bare(backlog: &Backlog, files: &Path) -> Measured {
    let mut batches = Vec::new();
    read_all(files, &mut batches);
    let folder = backlog.folder.path().join("bare");
    fs::create_dir_all(&folder).unwrap();
    let (begun, cpu_before) = (Instant::now(), cpu_of(std::process::id()));
    for (index, batch) in batches.iter().enumerate() {
        let mut file = File::create(folder.join(index.to_string())).unwrap();
        file.write_all(&encode(batch)).unwrap();
        file.sync_all().unwrap();
    }
    let cpu = cpu_of(std::process::id()) - cpu_before;
    measured(backlog.records, begun.elapsed(), cpu)
}

fn read_all(folder: &Path, batches: &mut Vec<RecordBatch>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, batches);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap());
            let builder = builder.unwrap().with_batch_size(1 << 20);
            batches.extend(builder.build().unwrap().map(Result::unwrap));
        }
    }
}

/// As anybody would write them: with dictionaries wherever the writer likes them.
fn encode(rows: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .set_max_row_group_bytes(Some(64 << 20))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap()
}
