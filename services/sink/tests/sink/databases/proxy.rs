//! A TCP proxy that cuts the connection at a COMMIT: before the server gets it, or before its answer returns.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Where connections are cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never sees the commit.
    Request,
    /// The server commits, and nobody hears of it.
    Answer,
}

/// Listens until the test process ends.
pub(crate) struct Proxy {
    pub(crate) address: String,
    commits: Arc<AtomicU32>,
    cuts: Arc<AtomicU32>,
}

impl Proxy {
    /// Passes connections on to `server`; of every three commits one is cut, by turns in both ways.
    pub(crate) fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (commits, cuts) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let proxy = Self {
            address,
            commits: Arc::clone(&commits),
            cuts: Arc::clone(&cuts),
        };
        let server = server.to_owned();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (commits, cuts) = (Arc::clone(&commits), Arc::clone(&cuts));
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else {
                    continue;
                };
                let answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || pass(answers.0, answers.1));
                thread::spawn(move || watch(client, server, (&commits, &cuts)));
            }
        });
        proxy
    }

    /// How many connections were cut at a commit.
    pub(crate) fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::Relaxed)
    }

    /// How many commits were seen.
    pub(crate) fn commits(&self) -> u32 {
        self.commits.load(Ordering::Relaxed)
    }
}

/// Answers on their way back, until either side ends.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Requests on their way to the server. Both protocols send a COMMIT as text in a packet of its own.
fn watch(mut client: TcpStream, mut server: TcpStream, (commits, cuts): (&AtomicU32, &AtomicU32)) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let request = &buffer[..length];
        let is_commit = request.len() < 32 && request.windows(6).any(|part| part == b"COMMIT");
        let cut = if is_commit {
            match commits.fetch_add(1, Ordering::Relaxed) % 6 {
                2 => Some(Cut::Request),
                5 => Some(Cut::Answer),
                _ => None,
            }
        } else {
            None
        };
        if cut.is_some() {
            cuts.fetch_add(1, Ordering::Relaxed);
            // The client's side first: no answer may slip through.
            let _ = client.shutdown(Shutdown::Both);
        }
        if cut == Some(Cut::Request) || server.write_all(request).is_err() {
            break;
        }
        if cut == Some(Cut::Answer) {
            // The server notices the end only after it has committed.
            let _ = server.shutdown(Shutdown::Write);
            return;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}
