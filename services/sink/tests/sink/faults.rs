//! Files under fire: deaths with partition folders and buckets, a full disk, two owners of one partition.

use std::process::Command;

use crate::bucket;
use crate::python::S3Server;
use crate::rig::{Rig, kills, wait_until};
use crate::stores::{check_rows, rows_below};

const TO_FOLDERS: &str = "partition_by = [\"version\", \"model\"]";

fn pipeline(name: &str, url: &str, roll: &str, more: &str) -> String {
    format!(
        "[[pipelines]]\nname = {name:?}\nmodels = [\"digits\"]\nroll = {roll}\n\
         [pipelines.destination]\ntype = \"files\"\nurl = {url:?}\n{more}\n"
    )
}

#[test]
fn killed_sink_completes_what_it_had_begun_in_folders_and_in_a_bucket() {
    let mut rig = Rig::new();
    let server = S3Server::start();
    let folder = rig.folder.path().join("folders");
    let roll = "{ rows = 60, age = \"50ms\" }";
    let more = format!("{TO_FOLDERS}\n{}", server.options());
    let pipelines = format!(
        "{}{}",
        pipeline("folders", folder.to_str().unwrap(), roll, TO_FOLDERS),
        pipeline("bucket", "s3://results/kills", roll, &more),
    );
    for round in 0..kills() {
        let sink = rig.start_with("instance = \"0\"", &pipelines);
        rig.send(400);
        let pipeline = ["folders", "bucket"][usize::from(round % 2 == 0)];
        let rows = format!("millrace_sink_rows_total{{pipeline=\"{pipeline}\"}}");
        wait_until("the sink has written something", || sink.metric(&rows) > 0);
        let moment = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 4;
        std::thread::sleep(std::time::Duration::from_millis(moment));
        sink.kill();
    }
    let sink = rig.start_with("instance = \"0\"", &pipelines);
    rig.wait_acknowledged();
    let ledger = rig.ledger();
    wait_until("the folders have all rows", || {
        rows_below(&folder).len() >= ledger.len()
    });
    wait_until("the bucket has all rows", || {
        bucket::rows(&server, "kills").len() >= ledger.len()
    });
    assert!(sink.stop().success());
    check_rows("the folders", rows_below(&folder), &ledger);
    check_rows("the bucket", bucket::rows(&server, "kills"), &ledger);
}

#[test]
fn full_disk_is_waited_for_and_nothing_is_lost() {
    let mut rig = Rig::new();
    let folder = rig.folder.path().join("files");
    let pipelines = pipeline("files", folder.to_str().unwrap(), "{ age = \"50ms\" }", "");
    // A limit of the size of files needs no rights, unlike a small file system; the signal that
    // comes with it is ignored.
    let mut command = Command::new("env");
    command.args(["--ignore-signal=XFSZ", "prlimit", "--fsize=4096:unlimited"]);
    command.arg(env!("CARGO_BIN_EXE_millrace-sink"));
    let sink = rig.start_by(command, "", &pipelines);
    rig.send(3_000);
    wait_until("the sink says what is wrong", || {
        let ready = sink.get("/ready");
        ready.contains("pipeline files destination") && ready.contains("File too large")
    });
    let limit = Command::new("prlimit")
        .args([
            "--fsize=unlimited:unlimited",
            "--pid",
            &sink.id().to_string(),
        ])
        .status();
    assert!(limit.unwrap().success());
    rig.wait_acknowledged();
    let ledger = rig.ledger();
    wait_until("the files have all rows", || {
        rows_below(&folder).len() >= ledger.len()
    });
    sink.wait_ready();
    assert!(sink.stop().success());
    check_rows("the files", rows_below(&folder), &ledger);
}

#[test]
fn bucket_takes_nothing_from_a_sink_that_slept_while_another_took_over() {
    let mut rig = Rig::new();
    let server = S3Server::start();
    let to_bucket = |roll| pipeline("bucket", "s3://results/two", roll, &server.options());
    let sleeper = rig.start_with("", &to_bucket("{ age = \"5s\" }"));
    rig.send(300);
    wait_until("the first sink has records in hand", || {
        sleeper.waiting(&rig, "bucket") > 0
    });
    sleeper.signal("STOP");
    rig.send(300);
    let successor = rig.start_with("", &to_bucket("{ age = \"50ms\" }"));
    check(&rig, &server);
    sleeper.signal("CONT");
    rig.send(300);
    check(&rig, &server);
    wait_until("the sleeper is well again or gone", || {
        sleeper.get("/ready").contains("true") || sleeper.get("/live").is_empty()
    });
    assert!(successor.stop().success());
    rig.send(300);
    check(&rig, &server);
}

fn check(rig: &Rig, server: &S3Server) {
    rig.wait_acknowledged();
    let ledger = rig.ledger();
    wait_until("the bucket has all rows", || {
        bucket::rows(server, "two").len() >= ledger.len()
    });
    check_rows("the bucket", bucket::rows(server, "two"), &ledger);
}
