//! A record that cannot become rows harms nobody else.

use millrace_wire::avro::DeadLetter;

use crate::rig::{Rig, wait_until};
use crate::stores::check_exactly_once;

#[test]
fn bad_result_is_dead_lettered_and_its_neighbours_are_written() {
    let mut rig = Rig::new();
    let sink = rig.start("");
    rig.send(100);
    rig.send_poison();
    rig.send(100);
    check_exactly_once(&rig);
    // Two pipelines read the topic, and each reports what it cannot write.
    let letters = rig.dead_letters(2);
    assert_eq!(letters.len(), 2);
    for record in letters {
        let letter = DeadLetter::decode(&record.value.unwrap()).unwrap();
        assert_eq!(letter.value.as_deref(), Some(b"not Arrow".as_slice()));
        assert_eq!(
            (letter.stage.as_str(), letter.code.as_str()),
            ("sink", "INVALID_ARGUMENT")
        );
        assert_eq!(letter.topic, rig.topic());
        assert!(letter.headers.iter().any(|header| header.name == "mr-id"));
    }
    let metrics = sink.get("/metrics");
    let line = "millrace_sink_dead_letters_total{pipeline=\"table\",reason=\"malformed\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn dead_letters_that_cannot_be_written_are_waited_for_and_written_once() {
    let mut rig = Rig::without_dead_letters();
    let sink = rig.start("");
    rig.send(100);
    rig.send_poison();
    rig.wait_acknowledged();
    for pipeline in ["table", "files"] {
        wait_until("the pipeline says what is wrong", || {
            let ready = sink.get("/ready");
            ready.contains(&format!("pipeline {pipeline} destination"))
                && ready.contains("1 dead letters wait")
        });
        assert!(rig.lag(pipeline) > 0, "the offset has not moved");
    }
    rig.add_topic("dead-letters");
    check_exactly_once(&rig);
    sink.wait_ready();
    for pipeline in ["table", "files"] {
        wait_until("the offset moves on", || rig.lag(pipeline) == 0);
    }
    rig.send_poison();
    assert_eq!(rig.dead_letters(4).len(), 4, "each once from each pipeline");
    assert!(sink.stop().success());
}
