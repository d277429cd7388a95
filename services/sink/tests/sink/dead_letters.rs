//! A record that cannot become rows harms nobody else.

use millrace_wire::avro::DeadLetter;

use crate::rig::Rig;
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
