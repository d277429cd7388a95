//! Results leave in the order of their requests, partition by partition.

use e2e::{Feed, Line, Tap, header, project_path};

use crate::digit_records::images_record;

const RECORDS: usize = 3_000;

#[test]
fn results_keep_the_order_of_their_request_partition() {
    let line = Line::new(&["digits"], 3);
    let results = Tap::open(&line, "results.digits");
    // Two engines and records of different sizes, so that later ones do finish first.
    let settings = "[batch]\nmax_rows = 4\n";
    let mut infer = line.infer_with_engines(&project_path("models"), &["digits"], settings, 2);
    infer.wait_ready();
    let feed = Feed::new(&line);
    let topic = line.topic("requests.digits");
    for number in 0..RECORDS {
        let rows = if number % 7 == 0 { 9 } else { 1 };
        let partition = i32::try_from(number % 3).expect("0 to 2");
        feed.send(&topic, Some(partition), Some(images_record(number, rows)), &[("mr-id", &number.to_string())]);
    }

    let answers = results.wait_for(RECORDS);
    for partition in 0..3 {
        let ids = |record: &&millrace_kafka::Record| record.partition == partition;
        let numbers: Vec<usize> = answers
            .iter()
            .filter(ids)
            .map(|record| header(record, "mr-id").expect("an id").parse().expect("our id"))
            .collect();
        assert_eq!(numbers.len(), RECORDS / 3, "results go to the partition of their requests");
        assert!(numbers.is_sorted(), "partition {partition} is out of order");
    }
}
