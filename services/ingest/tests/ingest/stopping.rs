//! A stop loses no answer that comes in time, and hangs on none that does not.

use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::client::{Connection, post, request};
use super::played::{echo, model_m};
use super::scene::Scene;

const M: &str = "/v1/models/m:predict";
const GOOD: &str = r#"{"instances": [[1,2,3,4]]}"#;

#[test]
fn a_request_in_flight_is_answered_before_the_process_ends() {
    let mut scene = Scene::start(|_| {});
    let (sender, asked) = mpsc::channel();
    scene.serve(&model_m(), move |it| {
        sender.send(echo(it)).unwrap();
        Vec::new()
    });
    scene.wait_ready();
    let mut caller = Connection::open(scene.address);
    caller.send(&request("POST", M, &[], GOOD.as_bytes()));
    let replies = asked.recv().unwrap();
    scene.shutdown.trigger();
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(scene.address).is_ok() {
        assert!(Instant::now() < until, "still accepting");
        std::thread::sleep(Duration::from_millis(5));
    }
    for reply in replies {
        scene.producer.send(reply, |_| {}).unwrap();
    }
    assert_eq!(caller.read().unwrap().status, 200);
    assert!(caller.is_closed());
    scene.stop().unwrap();
}

#[test]
fn a_request_that_is_not_answered_by_the_drain_deadline_is_told_so() {
    let mut scene = Scene::start(|settings| settings.drain_deadline = Duration::from_millis(500));
    let (sender, asked) = mpsc::channel();
    scene.serve(&model_m(), move |_| {
        sender.send(()).unwrap();
        Vec::new()
    });
    scene.wait_ready();
    let mut caller = Connection::open(scene.address);
    caller.send(&request("POST", M, &[], GOOD.as_bytes()));
    asked.recv().unwrap();
    let began = Instant::now();
    scene.shutdown.trigger();
    let answer = caller.read().unwrap();
    answer.check_refusal(503, "ingest is stopping");
    assert!(answer.header("retry-after").is_some());
    scene.stop().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn an_idle_connection_does_not_hold_up_the_stop() {
    let mut scene = Scene::start(|_| {});
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let mut idle = Connection::open(scene.address);
    idle.send(&request("POST", M, &[], GOOD.as_bytes()));
    assert_eq!(idle.read().unwrap().status, 200);
    assert_eq!(post(scene.address, M, GOOD).status, 200);
    let began = Instant::now();
    scene.stop().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(idle.is_closed());
}
