//! An HTTP client that sends exactly the bytes it is given.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Far beyond every time-out that a test sets.
const PATIENCE: Duration = Duration::from_secs(60);

/// One answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The refusal is of this status, JSON of one sentence with `fragment` in
    /// it, short, and has an id.
    #[track_caller]
    pub(crate) fn check_refusal(&self, status: u16, fragment: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.header("x-request-id").is_some());
        assert!(self.body.len() <= 512, "{} bytes", self.body.len());
        let json = self.json();
        let sentence = json["error"].as_str().unwrap();
        assert!(
            sentence.contains(fragment),
            "{fragment:?} is not in {sentence:?}"
        );
        assert_eq!(json.as_object().unwrap().len(), 1);
    }
}

/// An open connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends bytes; the server may have closed already, which reading will show.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Reads the head of an answer whose body has no length.
    pub(crate) fn read_head(&mut self) -> Option<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line().unwrap();
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Answer {
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// Reads what comes until the connection ends.
    pub(crate) fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads one answer; `None` when the connection ends before it begins.
    pub(crate) fn read(&mut self) -> Option<Answer> {
        let mut answer = self.read_head()?;
        let status = answer.status;
        let length = answer
            .header("content-length")
            .map_or(0, |it| it.parse().unwrap());
        if status != 100 {
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body).unwrap();
        }
        Some(answer)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            // The server closed while bytes of ours were still unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Whether the server has closed, waiting for it.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.line().is_none()
    }
}

/// Sends raw bytes over a new connection and reads one answer.
#[track_caller]
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut connection = Connection::open(address);
    connection.send(bytes);
    connection.read().expect("an answer before the end")
}

/// A request with the headers that every client sends.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    if !body.is_empty() || method == "POST" {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

#[track_caller]
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    raw(address, &request("GET", path, &[], b""))
}

#[track_caller]
pub(crate) fn post(address: SocketAddr, path: &str, body: impl AsRef<[u8]>) -> Answer {
    let headers = ["Content-Type: application/json"];
    raw(address, &request("POST", path, &headers, body.as_ref()))
}
