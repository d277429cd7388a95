//! Stands between clients and the nodes of a cluster and, by rule, delays, loses or holds back what they say to each
//! other. Nodes that `scripts/cluster` starts send the clients of one of their listeners here.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

mod frames;
mod rules;

pub use rules::{Api, Rule, Side, What};

use frames::{Frame, read_frame, write_frame};
use rules::Rules;

/// Every node's connections go through it.
#[derive(Clone)]
pub struct Proxy {
    rules: Arc<Rules>,
    ports: Vec<u16>,
}

impl Proxy {
    /// Listens for clients; `pairs` are the port that clients come to and the node's own, one pair per node.
    ///
    /// # Panics
    /// When a port is in use.
    pub fn start(pairs: &[(u16, u16)]) -> Self {
        let rules = Arc::new(Rules::default());
        for (node, (from, to)) in pairs.iter().copied().enumerate() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, from))
                .unwrap_or_else(|error| panic!("port {from} of the proxy: {error}"));
            let rules = Arc::clone(&rules);
            thread::spawn(move || {
                for client in listener.incoming().map_while(Result::ok) {
                    accept(client, to, (node, &rules));
                }
            });
        }
        let ports = pairs.iter().map(|(from, _)| *from).collect();
        Self { rules, ports }
    }

    /// Where clients begin, as `kafka.brokers`.
    pub fn brokers(&self) -> String {
        let addresses: Vec<_> = self
            .ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        addresses.join(",")
    }

    /// From now on what the rule names is done; `usize` is the rule's number.
    pub fn add(&self, rule: Rule) -> usize {
        self.rules.add(rule)
    }

    /// How often a rule has been followed.
    pub fn followed(&self, rule: usize) -> usize {
        self.rules.followed(rule)
    }

    /// Ends a rule; what it holds back goes on.
    pub fn end(&self, rule: usize) {
        self.rules.end(rule);
    }
}

/// One connection: what each side has asked, so that answers are known by what they answer.
struct Connection {
    node: usize,
    rules: Arc<Rules>,
    asked: Mutex<HashMap<i32, i16>>,
}

fn accept(client: TcpStream, to: u16, (node, rules): (usize, &Arc<Rules>)) {
    // A node that is down looks to its clients as it would without the proxy: the connection ends.
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let connection = Arc::new(Connection {
        node,
        rules: Arc::clone(rules),
        asked: Mutex::default(),
    });
    for side in [Side::Request, Side::Response] {
        let (Ok(client), Ok(server)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        let connection = Arc::clone(&connection);
        thread::spawn(move || {
            let (from, to) = match side {
                Side::Request => (&client, &server),
                Side::Response => (&server, &client),
            };
            connection.forward(side, from, to);
            // One direction that ends takes the other along, as it does between a client and a node.
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        });
    }
}

impl Connection {
    fn forward(&self, side: Side, mut from: &TcpStream, mut to: &TcpStream) {
        while let Some(frame) = read_frame(&mut from) {
            let api = self.api(side, &frame);
            let is_passed_on = match self.rules.decide(self.node, api, side) {
                None => true,
                Some(What::Delay(time)) => {
                    thread::sleep(time);
                    true
                }
                Some(What::Lose) => false,
                // What is held has been waited for by now, in `decide`.
                Some(What::Hold) => true,
                Some(What::Cut) => return,
            };
            if is_passed_on && write_frame(&mut to, &frame).is_none() {
                return;
            }
        }
    }

    fn api(&self, side: Side, frame: &Frame) -> Option<i16> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match side {
            Side::Request => {
                let (api, correlation) = (frame.api()?, frame.correlation_of_request()?);
                asked.insert(correlation, api);
                Some(api)
            }
            Side::Response => asked.remove(&frame.correlation_of_response()?),
        }
    }
}
