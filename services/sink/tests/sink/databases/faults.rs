//! After each fault the table holds exactly the right rows.

use std::time::Duration;

use super::proxy::Proxy;
use super::server::{Kind, Server};
use crate::rig::{Rig, kills, wait_until};

const QUICK: &str = r#"{ rows = 100, age = "20ms" }"#;

/// A lasting name lets the next process have the partitions at once.
const LASTING: &str = "instance = \"0\"";

#[test]
fn sink_killed_while_it_writes_to_postgres_loses_and_doubles_nothing() {
    killed_sink(Kind::Postgres);
}

#[test]
fn sink_killed_while_it_writes_to_mariadb_loses_and_doubles_nothing() {
    killed_sink(Kind::Mariadb);
}

fn killed_sink(kind: Kind) {
    let (mut rig, server) = (Rig::new(), Server::start(kind));
    let pipeline = server.pipeline(&server.url, QUICK);
    for _ in 0..kills() {
        let sink = rig.start_with(LASTING, &pipeline);
        let before = server.rows().len();
        rig.send(600);
        wait_until("the sink has written something", || {
            server.rows().len() > before
        });
        let moment = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 4;
        std::thread::sleep(Duration::from_millis(moment));
        sink.kill();
    }
    let sink = rig.start_with(LASTING, &pipeline);
    server.check_exactly_once(&rig);
    assert!(sink.stop().success());
    server.check_exactly_once(&rig);
}

#[test]
fn postgres_killed_and_restarted_loses_and_doubles_nothing() {
    killed_server(Kind::Postgres);
}

#[test]
fn mariadb_killed_and_restarted_loses_and_doubles_nothing() {
    killed_server(Kind::Mariadb);
}

fn killed_server(kind: Kind) {
    let (mut rig, server) = (Rig::new(), Server::start(kind));
    let sink = rig.start_with("", &server.pipeline(&server.url, QUICK));
    for _ in 0..2 {
        let before = server.rows().len();
        rig.send(1_000);
        wait_until("the sink is in the middle", || server.rows().len() > before);
        server.kill();
        rig.send(1_000);
        wait_until("the sink says what is wrong", || {
            sink.get("/ready").contains("pipeline table destination")
        });
        server.restart();
        server.check_exactly_once(&rig);
    }
    sink.wait_ready();
}

#[test]
fn connection_to_postgres_cut_at_commit_loses_and_doubles_nothing() {
    cut_at_commit(Kind::Postgres);
}

#[test]
fn connection_to_mariadb_cut_at_commit_loses_and_doubles_nothing() {
    cut_at_commit(Kind::Mariadb);
}

fn cut_at_commit(kind: Kind) {
    let (mut rig, server) = (Rig::new(), Server::start(kind));
    let proxy = Proxy::start(server.address());
    let url = server.url.replace(server.address(), &proxy.address);
    let url = format!("{url}?sslmode=disable");
    let _sink = rig.start_with("", &server.pipeline(&url, QUICK));
    wait_until("enough connections are cut", || {
        rig.send(20);
        rig.wait_acknowledged();
        proxy.cuts() >= 8
    });
    server.check_exactly_once(&rig);
    assert!(proxy.commits() > proxy.cuts());
}

#[test]
fn sink_that_slept_while_another_took_over_postgres_writes_nothing_more() {
    sleeper(Kind::Postgres);
}

#[test]
fn sink_that_slept_while_another_took_over_mariadb_writes_nothing_more() {
    sleeper(Kind::Mariadb);
}

fn sleeper(kind: Kind) {
    let (mut rig, server) = (Rig::new(), Server::start(kind));
    // Long enough that it sleeps with records in hand.
    let sleeper = rig.start_with("", &server.pipeline(&server.url, r#"{ age = "5s" }"#));
    rig.send(300);
    wait_until("the first sink has records in hand", || {
        sleeper.waiting(&rig, "table") > 0
    });
    sleeper.signal("STOP");
    rig.send(300);
    let successor = rig.start_with("", &server.pipeline(&server.url, QUICK));
    server.check_exactly_once(&rig);
    sleeper.signal("CONT");
    rig.send(300);
    server.check_exactly_once(&rig);
    wait_until("the sleeper is well again or gone", || {
        sleeper.get("/ready").contains("true") || sleeper.get("/live").is_empty()
    });
    assert!(successor.stop().success());
    rig.send(300);
    server.check_exactly_once(&rig);
}
