//! Rows by the partition folders that they belong to.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::temporal_conversions::timestamp_ms_to_datetime;

use super::names;
use super::settings::PartitionKey;

/// The rows of each folder, in the order of the folders' names; rows keep their order. A column
/// that a folder stands for is left out, as query engines expect. One empty path without keys.
pub(super) fn by_folder(
    rows: &RecordBatch,
    keys: &[PartitionKey],
) -> Result<BTreeMap<String, RecordBatch>, ArrowError> {
    if keys.is_empty() {
        return Ok(BTreeMap::from([(String::new(), rows.clone())]));
    }
    let mut places: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (index, row) in (0..rows.num_rows()).zip(0u32..) {
        let folders: Vec<String> = keys.iter().map(|key| folder(*key, rows, index)).collect();
        places.entry(folders.join("/")).or_default().push(row);
    }
    let kept = without(rows, keys)?;
    if places.len() == 1 {
        return Ok(places
            .into_keys()
            .map(|folder| (folder, kept.clone()))
            .collect());
    }
    places
        .into_iter()
        .map(|(folder, rows)| Ok((folder, take_record_batch(&kept, &UInt32Array::from(rows))?)))
        .collect()
}

fn folder(key: PartitionKey, rows: &RecordBatch, index: usize) -> String {
    let value = match key {
        PartitionKey::Date => time(rows, index).map(|time| time.0),
        PartitionKey::Hour => time(rows, index).map(|time| time.1),
        PartitionKey::Model => Some(rows["model"].as_string::<i32>().value(index).to_owned()),
        PartitionKey::Version => {
            let versions = rows["version"].as_primitive::<Int64Type>();
            versions
                .is_valid(index)
                .then(|| versions.value(index).to_string())
        }
    };
    names::partition_folder(key.name(), value.as_deref())
}

/// Day and hour in UTC; `None` where there is none, or it is beyond any calendar.
fn time(rows: &RecordBatch, index: usize) -> Option<(String, String)> {
    let times = rows["recorded_at"].as_primitive::<TimestampMillisecondType>();
    let millis = times.is_valid(index).then(|| times.value(index))?;
    let time = timestamp_ms_to_datetime(millis)?;
    let hour = time.time().to_string().get(..2)?.to_owned();
    Some((time.date().to_string(), hour))
}

fn without(rows: &RecordBatch, keys: &[PartitionKey]) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let names = schema.fields().iter().map(|field| field.name());
    let kept: Vec<usize> = names
        .enumerate()
        .filter(|(_, name)| !keys.iter().any(|key| key.name() == *name))
        .map(|(index, _)| index)
        .collect();
    rows.project(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{batch, kafka_record, parse, record_with};
    use millrace_wire::Status;

    fn folders(rows: &RecordBatch, keys: &[PartitionKey]) -> Vec<(String, usize)> {
        let split = by_folder(rows, keys).unwrap();
        split
            .iter()
            .map(|(folder, rows)| (folder.clone(), rows.num_rows()))
            .collect()
    }

    #[test]
    fn rows_go_to_the_folders_of_their_values() {
        let mut hour_later = kafka_record(1, Status::Internal, None);
        hour_later.timestamp_unix_ms = Some(1_700_000_000_000 + 3_600_000);
        let mut timeless = kafka_record(2, Status::Internal, None);
        timeless.timestamp_unix_ms = None;
        let records = vec![
            record_with(0, &[1.0, 2.0]),
            parse(hour_later),
            parse(timeless),
        ];
        let batch = batch(0, records);
        assert_eq!(
            folders(batch.rows(), &[PartitionKey::Date, PartitionKey::Hour]),
            [
                ("date=2023-11-14/hour=22".to_owned(), 2),
                ("date=2023-11-14/hour=23".to_owned(), 1),
                (
                    "date=__HIVE_DEFAULT_PARTITION__/hour=__HIVE_DEFAULT_PARTITION__".to_owned(),
                    1
                ),
            ]
        );
        let keys = [PartitionKey::Model, PartitionKey::Version];
        assert_eq!(
            folders(batch.rows(), &keys),
            [("model=digits/version=3".to_owned(), 4)]
        );
        assert_eq!(folders(batch.rows(), &[]), [(String::new(), 4)]);
    }

    #[test]
    fn column_of_a_folder_is_not_in_the_files() {
        let batch = batch(0, vec![record_with(0, &[1.0])]);
        let split = by_folder(batch.rows(), &[PartitionKey::Model]).unwrap();
        let rows = &split["model=digits"];
        assert!(rows.column_by_name("model").is_none());
        assert!(rows.column_by_name("version").is_some());
    }
}
