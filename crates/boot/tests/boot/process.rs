//! What a whole process does: it stops on signals, logs and sends traces.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use crate::child::{self, CALLER, READY, STOPPED};

/// The lines that the child writes up to and including `last`.
fn read_until(child: &mut Child, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut output = BufReader::new(child.stdout.as_mut().unwrap());
    while lines.last().is_none_or(|line| line != last) {
        let mut line = String::new();
        let read = output.read_line(&mut line).unwrap();
        assert_ne!(read, 0, "the child ended after {lines:?}");
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn send(child: &Child, signal: &str) {
    let status = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Waits for the end of the child; kills it when it does not come.
fn exit_code(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the child did not end within 20 s");
}

fn run(role: &str, endpoint: Option<&str>) -> Output {
    let output = child::start(role, endpoint).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

#[test]
fn first_signal_stops_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let mut child = child::start("stops", None);
        read_until(&mut child, READY);
        send(&child, signal);
        read_until(&mut child, STOPPED);
        assert_eq!(exit_code(&mut child), Some(0));
    }
}

#[test]
fn second_signal_exits_at_once_even_when_the_process_hangs() {
    let mut child = child::start("hangs", None);
    read_until(&mut child, READY);
    send(&child, "-TERM");
    read_until(&mut child, STOPPED);
    send(&child, "-INT");
    assert_eq!(exit_code(&mut child), Some(130));
}

#[test]
fn text_log_has_no_colours_outside_a_terminal() {
    let output = run("logs as text", None);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("INFO"), "{errors}");
    assert!(errors.contains("record rejected partition=3"), "{errors}");
    assert!(!errors.contains('\x1b'), "{errors:?}");
}

#[test]
fn json_log_is_one_object_per_line_on_standard_error() {
    let output = run("logs as JSON", None);
    let errors = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = errors
        .lines()
        .filter(|line| line.starts_with('{'))
        .collect();
    assert_eq!(lines.len(), 1, "{errors}");
    for part in [
        r#""message":"record rejected""#,
        r#""partition":3"#,
        r#""level":"INFO""#,
    ] {
        assert!(lines[0].contains(part), "{errors}");
    }
}

#[test]
fn span_joins_the_callers_trace_and_reaches_the_collector() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let request = std::thread::spawn(move || answer_one(&collector));
    let output = run("traces", Some(&endpoint));
    let printed = String::from_utf8(output.stdout).unwrap();
    let trace_id = &CALLER[..35];
    assert!(printed.contains(trace_id), "{printed}");
    assert!(!printed.contains(CALLER), "{printed}");
    let request = String::from_utf8_lossy(&request.join().unwrap()).into_owned();
    assert!(request.starts_with("POST /v1/traces "), "{request}");
    for part in ["work of the child", "boot-test"] {
        assert!(request.contains(part), "{request}");
    }
}

#[test]
fn with_a_ratio_of_nothing_only_the_callers_own_traces_are_sent() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let request = std::thread::spawn(move || answer_one(&collector));
    run("decides against traces", Some(&endpoint));
    let request = String::from_utf8_lossy(&request.join().unwrap()).into_owned();
    assert!(request.contains("the caller decides"), "{request}");
}

#[test]
fn metrics_reach_the_collector_at_the_latest_when_the_process_ends() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let request = std::thread::spawn(move || answer_one(&collector));
    run("sends metrics", Some(&endpoint));
    let request = String::from_utf8_lossy(&request.join().unwrap()).into_owned();
    assert!(request.starts_with("POST /v1/metrics "), "{request}");
    for part in ["millrace_telemetry_spans", "dropped", "boot-test"] {
        assert!(request.contains(part), "{request}");
    }
}

#[test]
fn a_collector_that_is_away_keeps_nobody() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    run("traces", Some(&endpoint));
}

/// Takes one HTTP request, answers 200 and returns its bytes.
fn answer_one(collector: &TcpListener) -> Vec<u8> {
    let (mut connection, _) = collector.accept().unwrap();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut request = Vec::new();
    let mut body_bytes = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        request.extend_from_slice(line.as_bytes());
        if let Some(length) = line.to_lowercase().strip_prefix("content-length:") {
            body_bytes = length.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body).unwrap();
    request.extend(body);
    connection
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .unwrap();
    request
}
