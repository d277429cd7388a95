//! Callers that ask the same again and again, each as soon as it is answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BODY: &str = r#"{"instances":[[0.6804766,0.30136853,0.17394465,0.44770062,0.20275897,0.32762378,0.45966738,0.30405,0.1,0.25,3.5,12,0.0003,7.75,0.999,1]]}"#;

/// What the callers of one round met.
pub(crate) struct Report {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) median_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) errors: f64,
}

impl Report {
    pub(crate) fn to_line(&self) -> String {
        let Self {
            requests,
            per_second,
            median_us,
            p99_us,
            errors,
        } = self;
        format!("{requests} {per_second} {median_us} {p99_us} {errors}")
    }

    pub(crate) fn of_line(line: &str) -> Self {
        let mut numbers = line.split_whitespace().map(|it| it.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Self {
            requests: next(),
            per_second: next(),
            median_us: next(),
            p99_us: next(),
            errors: next(),
        }
    }
}

fn request() -> Vec<u8> {
    let length = BODY.len();
    let head = "POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {length}\r\n\r\n{BODY}").into_bytes()
}

/// The body that a server answers.
pub(crate) fn one_answer(address: SocketAddr) -> Vec<u8> {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_mut().write_all(&request()).unwrap();
    let mut length = 0;
    let mut status = String::new();
    stream.read_line(&mut status).unwrap();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    assert!(
        status.contains(" 200 "),
        "{status}{}",
        String::from_utf8_lossy(&body)
    );
    body
}

/// Asks for a time, all callers on one thread.
pub(crate) fn call(address: SocketAddr, callers: usize, time: Duration) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let until = Instant::now() + time;
    let mut latencies = Vec::new();
    let mut errors = 0.0;
    runtime.unwrap().block_on(async {
        let tasks: Vec<_> = (0..callers)
            .map(|_| tokio::spawn(one_caller(address, until)))
            .collect();
        for task in tasks {
            let (taken, refused) = task.await.unwrap();
            latencies.extend(taken);
            errors += f64::from(refused);
        }
    });
    latencies.sort_by(f64::total_cmp);
    let at = |part: usize| latencies[(latencies.len() * part / 100).min(latencies.len() - 1)];
    let requests = f64::from(u32::try_from(latencies.len()).unwrap());
    Report {
        requests,
        per_second: requests / time.as_secs_f64(),
        median_us: at(50),
        p99_us: at(99),
        errors,
    }
}

/// Microseconds of each answer, and how many were no 200.
async fn one_caller(address: SocketAddr, until: Instant) -> (Vec<f64>, u32) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let request = request();
    let mut buffer = vec![0; 16 << 10];
    let (mut taken, mut refused) = (Vec::new(), 0);
    while Instant::now() < until {
        let began = Instant::now();
        stream.write_all(&request).await.unwrap();
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "the server has closed");
            filled += read;
            if is_whole(&buffer[..filled]) {
                break;
            }
        }
        refused += u32::from(!buffer.starts_with(b"HTTP/1.1 200 "));
        taken.push(began.elapsed().as_secs_f64() * 1e6);
    }
    (taken, refused)
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else {
        return false;
    };
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    answer.len() >= end + 4 + length.map_or(0, |it| it.parse::<usize>().unwrap())
}
