//! Results leave in the order of their requests, partition by partition.

use e2e::{Feed, Infer, Line, Tap, header};

use crate::digit_records::images_record;

const RECORDS: usize = 3_000;

#[test]
fn results_keep_the_order_of_their_request_partition() {
    let line = Line::new(&["digits"], 3);
    let results = Tap::open(&line, "results.digits");
    // Two engines and records of different sizes, so that later ones do finish first.
    let mut infer = line.infer(Infer {
        max_rows: 4,
        engines: 2,
        ..Infer::default()
    });
    infer.wait_ready();
    let feed = Feed::new(&line, "requests.digits");
    for number in 0..RECORDS {
        let rows = if number % 7 == 0 { 9 } else { 1 };
        let partition = i32::try_from(number % 3).expect("0 to 2");
        feed.send(
            Some(partition),
            Some(images_record(number, rows)),
            &[("mr-id", &number.to_string())],
        );
    }

    let answers = results.wait_for(RECORDS);
    for partition in 0..3 {
        let ids = |record: &&millrace_kafka::Record| record.partition == partition;
        let numbers: Vec<usize> = answers
            .iter()
            .filter(ids)
            .map(|record| {
                header(record, "mr-id")
                    .expect("an id")
                    .parse()
                    .expect("our id")
            })
            .collect();
        assert_eq!(
            numbers.len(),
            RECORDS / 3,
            "results go to the partition of their requests"
        );
        assert!(numbers.is_sorted(), "partition {partition} is out of order");
    }
}
