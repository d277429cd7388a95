//! A row that the database refuses is found by halving and dead-lettered in the database's own words.

use millrace_wire::avro::DeadLetter;
use millrace_wire::{DType, Tensor, VariableData};

use super::server::{Kind, Server};
use crate::rig::{Rig, wait_until};

#[test]
fn text_that_postgres_refuses_is_dead_lettered_and_its_neighbours_are_written() {
    let (rig, server) = (Rig::new(), Server::start(Kind::Postgres));
    let label = |text: &str| {
        let data: VariableData = [text].iter().collect();
        Tensor::variable("label", DType::String, vec![1], data).unwrap()
    };
    for number in 0..50 {
        let text = match number {
            7 | 31 => "b\0d".to_owned(),
            _ => format!("label {number}"),
        };
        rig.send_outputs(&[label(&text)]);
    }
    rig.wait_acknowledged();
    let pipeline = server.pipeline(&server.url, r#"{ rows = 1000, age = "1s" }"#);
    let sink = rig.start_with("", &pipeline);
    wait_until("the others are written", || {
        let count = server.query("SELECT count(label) FROM results");
        String::from_utf8_lossy(&count.stdout).trim() == "48"
    });
    let letters = rig.dead_letters(2);
    assert_eq!(letters.len(), 2);
    for record in letters {
        let letter = DeadLetter::decode(&record.value.unwrap()).unwrap();
        let reason = letter.reason;
        assert!(
            reason.contains("invalid byte sequence for encoding \"UTF8\": 0x00"),
            "{reason}"
        );
        assert!(letter.value.is_some(), "with its original bytes");
    }
    assert!(sink.stop().success());
    assert_eq!(rig.lag("table"), 0);
}
