//! The cheapest HTTP/1.1 client that measures rightly: one kept-alive connection, requests prepared beforehand.
//!
//! It understands what our services answer (a status, `Content-Length`) and refuses everything else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

/// Longer than any time limit of the services, so that their own answers are seen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Largest head of a response.
const MAX_HEAD: usize = 16 << 10;

/// A connection that is opened at the first request and again after a failure.
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// The bytes of a whole request.
#[derive(Debug, Clone)]
pub struct Request(Vec<u8>);

/// A response; its body lies in the connection's buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

impl Request {
    /// `GET path`.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nHost: millrace\r\n\r\n").into_bytes())
    }

    /// `POST path` with a JSON body.
    #[must_use]
    pub fn post(path: &str, json: &str) -> Self {
        let length = json.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: millrace\r\nContent-Type: application/json\r\n");
        Self(format!("{head}Content-Length: {length}\r\n\r\n{json}").into_bytes())
    }

    /// The same with a further header.
    ///
    /// # Errors
    /// When the value would break the request up.
    pub fn with_header(mut self, name: &str, value: &str) -> anyhow::Result<Self> {
        ensure!(
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "the value of {name} must be printable ASCII"
        );
        let first_line = self.0.windows(2).position(|two| two == b"\r\n");
        let place = first_line.map_or(self.0.len(), |end| end + 2);
        let header = format!("{name}: {value}\r\n").into_bytes();
        self.0.splice(place..place, header);
        Ok(self)
    }
}

impl Connection {
    /// A connection to be opened.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            buffer: vec![0; MAX_HEAD],
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails, or the answer is not one of our services'. The next request opens a new connection.
    pub fn send(&mut self, request: &Request) -> anyhow::Result<Response<'_>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open()?,
        };
        stream
            .write_all(&request.0)
            .context("the request could not be sent")?;
        let head = read_head(&mut stream, &mut self.buffer)?;
        let end = head.body_start + head.content_length;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        ensure!(
            head.filled <= end,
            "the answer is longer than its Content-Length"
        );
        stream
            .read_exact(&mut self.buffer[head.filled..end])
            .context("the answer ends too early")?;
        if !head.closes {
            self.stream = Some(stream);
        }
        Ok(Response {
            status: head.status,
            body: &self.buffer[head.body_start..end],
        })
    }

    fn open(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)
            .with_context(|| format!("no connection to {}", self.address))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

struct Head {
    status: u16,
    content_length: usize,
    closes: bool,
    body_start: usize,
    /// Bytes of the buffer that have been read so far.
    filled: usize,
}

fn read_head(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<Head> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).context("no answer")?;
        ensure!(read > 0, "the connection was closed before the answer");
        let searched = filled.saturating_sub(3);
        filled += read;
        if let Some(found) = buffer[searched..filled]
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
        {
            let body_start = searched + found + 4;
            return parse_head(&buffer[..body_start], filled);
        }
        ensure!(
            filled < buffer.len(),
            "the head of the answer is longer than {} bytes",
            buffer.len()
        );
    }
}

fn parse_head(bytes: &[u8], filled: usize) -> anyhow::Result<Head> {
    let text = std::str::from_utf8(bytes).context("the head of the answer is not text")?;
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    let mut head = Head {
        status: status.with_context(|| format!("this is no status line: {status_line:?}"))?,
        content_length: 0,
        closes: false,
        body_start: bytes.len(),
        filled,
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name {
            name if name.eq_ignore_ascii_case("content-length") => {
                head.content_length = value
                    .parse()
                    .with_context(|| format!("Content-Length is {value:?}"))?;
            }
            name if name.eq_ignore_ascii_case("connection") => {
                head.closes = value.eq_ignore_ascii_case("close")
            }
            name if name.eq_ignore_ascii_case("transfer-encoding") => {
                bail!("Transfer-Encoding {value} is not supported")
            }
            _ => {}
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::*;

    /// A server that takes one connection per list of answers, and gives each answer in these pieces.
    fn server(connections: Vec<Vec<Vec<&'static str>>>) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            for answers in connections {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 4096];
                for pieces in answers {
                    assert!(stream.read(&mut buffer).unwrap() > 0);
                    for piece in pieces {
                        stream.write_all(piece.as_bytes()).unwrap();
                        stream.flush().unwrap();
                        thread::yield_now();
                    }
                }
            }
        });
        (address, thread)
    }

    #[test]
    fn one_connection_carries_many_requests_however_the_answers_are_cut() {
        let whole = vec!["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"];
        let cut = vec![
            "HTTP/1.1 40",
            "4 Not Found\r\nContent-Le",
            "ngth: 2\r\n\r",
            "\n",
            "n",
            "o",
        ];
        let (address, thread) = server(vec![vec![whole, cut]]);
        let mut connection = Connection::new(address);
        let request = Request::post("/v1", "{}");
        assert_eq!(
            connection.send(&request).unwrap(),
            Response {
                status: 200,
                body: b"hello"
            }
        );
        assert_eq!(
            connection.send(&request).unwrap(),
            Response {
                status: 404,
                body: b"no"
            }
        );
        drop(connection);
        thread.join().unwrap();
    }

    #[test]
    fn headers_stand_after_the_first_line_and_cannot_break_it_up() {
        let request = Request::get("/ready").with_header("Authorization", "Bearer mr_1");
        let text = String::from_utf8(request.unwrap().0).unwrap();
        assert!(
            text.starts_with("GET /ready HTTP/1.1\r\nAuthorization: Bearer mr_1\r\nHost:"),
            "{text}"
        );
        assert!(Request::get("/").with_header("A", "b\r\nC: d").is_err());
    }

    #[test]
    fn a_closed_connection_is_an_error_and_is_opened_again() {
        let answer = vec!["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"];
        let (address, thread) = server(vec![vec![vec![]], vec![answer]]);
        let mut connection = Connection::new(address);
        let error = connection.send(&Request::get("/ready")).unwrap_err();
        assert!(
            error.to_string().contains("closed before the answer"),
            "{error}"
        );
        assert_eq!(
            connection.send(&Request::get("/ready")).unwrap().status,
            200
        );
        drop(connection);
        thread.join().unwrap();
    }

    #[test]
    fn answers_of_other_kinds_are_refused() {
        let chunked = vec!["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"];
        let (address, thread) = server(vec![vec![chunked]]);
        let error = Connection::new(address)
            .send(&Request::get("/"))
            .unwrap_err();
        assert!(error.to_string().contains("chunked"), "{error}");
        thread.join().unwrap();
    }
}
