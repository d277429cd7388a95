//! Arrow records written and read by other people's libraries: pyarrow and confluent-kafka.

use std::process::Command;

use e2e::{Infer, Line, project_path};

#[test]
fn arrow_produced_by_python_round_trips() {
    let line = Line::new(&["digits"], 2);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let output = Command::new(project_path(".venv/bin/python"))
        .arg(project_path("tests/python/arrow_round_trip.py"))
        .args([
            line.brokers(),
            &line.topic("requests.digits"),
            &line.topic("results.digits"),
        ])
        .output()
        .expect("`make setup` has made .venv");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("right answers"), "{text}");
}
