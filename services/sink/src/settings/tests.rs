use millrace_boot::{CommonArgs, load};

use super::*;

fn load_text(text: &str) -> Result<Settings, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let args = CommonArgs {
        config: Some(file.path().to_owned()),
        ..CommonArgs::default()
    };
    load(&args).map_err(|error| error.to_string())
}

fn check_refused(text: &str, expected: &str) {
    let error = load_text(text).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

const PIPELINE: &str = r#"
    [[pipelines]]
    name = "files"
    models = ["digits"]
    topics = ["other.results"]
    destination = { type = "files", url = "out" }
"#;

#[test]
fn pipeline_reads_the_results_of_its_models_and_its_topics() {
    let settings = load_text(&format!("topics.prefix = \"mill\"\n{PIPELINE}")).unwrap();
    let topics = settings.pipelines[0].all_topics(&settings.topics.prefix);
    assert_eq!(topics, ["mill.results.digits", "other.results"]);
}

#[test]
fn roll_follows_the_writer_where_nothing_is_set() {
    let text = format!("{PIPELINE}\n[pipelines.roll]\nrows = 10\nage = \"5s\"");
    let roll = load_text(&text).unwrap().pipelines[0].roll();
    assert_eq!((roll.rows, roll.age), (10, Duration::from_secs(5)));
    assert_eq!(roll.size_bytes, 64 << 20);
}

#[test]
fn bad_settings_are_refused_by_name() {
    check_refused("", "pipelines has no entry");
    check_refused(
        &PIPELINE.replace("name = \"files\"", "name = \"my files\""),
        "pipelines[0].name",
    );
    check_refused(&PIPELINE.replace("digits", "a/../b"), "pipelines[0].models");
    check_refused(&PIPELINE.replace("\"files\", url", "\"tape\", url"), "tape");
    check_refused(&PIPELINE.replace("url =", "uri ="), "uri");
    check_refused(
        &format!("{PIPELINE}\nroll = {{ rows = 0 }}"),
        "pipelines[0].roll.rows",
    );
    check_refused(&format!("{PIPELINE}{PIPELINE}"), "pipelines[1].name");
    let other = PIPELINE.replace("name = \"files\"", "name = \"more\"");
    check_refused(&format!("{PIPELINE}{other}"), "pipelines[1].destination");
}
