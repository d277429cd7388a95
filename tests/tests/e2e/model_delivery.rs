//! `delivery` may be said for a model by itself.

use e2e::{Feed, Line, ModelFolder, PATIENCE, Tap, wait_for};

use crate::command_line::succeed;
use crate::digit_records::image_record;
use crate::hot_swap::descriptors;

const COMMITTED: &str = "millrace_kafka_transactions_total";

#[test]
fn a_models_delivery_goes_before_that_of_the_process_and_changes_with_its_consumer() {
    let line = Line::new(&["careful", "quick"], 1);
    let models = ModelFolder::new();
    for model in ["careful", "quick"] {
        models.put(model, 1);
    }
    models.say("careful", "delivery = \"exactly_once\"");
    let told = Tap::open(&line, "models");
    let delivery = |model: &str| {
        let descriptor = descriptors(&told, model).remove(&1)?;
        Some((descriptor.delivery, descriptor.reason))
    };
    let wait_delivery = |model: &str, expected: &str| {
        wait_for(PATIENCE, &format!("{model} to be {expected}"), || {
            (delivery(model)?.0 == expected).then_some(())
        });
    };
    let mut infer = line.infer_over(models.path(), "");
    infer.wait_ready();
    wait_delivery("careful", "exactly_once");
    wait_delivery("quick", "at_least_once");
    let ask = |model: &str, results: usize| {
        let feed = Feed::new(&line, &format!("requests.{model}"));
        feed.send(None, Some(image_record(0)), &[]);
        feed.flush();
        Tap::open(&line, &format!("results.{model}")).wait_for(results);
        infer.metric(COMMITTED)
    };
    assert_eq!(ask("quick", 1), 0.0, "without transactions");
    let committed = ask("careful", 1);
    assert!(committed >= 1.0, "in a transaction");
    let shown = succeed(&line, &["models", "show", "careful"]);
    assert!(shown.contains("delivery: exactly_once"), "{shown}");

    models.say("careful", "delivery = \"at_least_once\"");
    let reason = wait_for(PATIENCE, "a word about what does not hold yet", || {
        Some(delivery("careful")?.1).filter(|reason| !reason.is_empty())
    });
    assert!(
        reason.contains("delivery at_least_once") && reason.contains("starts anew"),
        "{reason}"
    );
    assert_eq!(delivery("careful").expect("it is served").0, "exactly_once");
    succeed(&line, &["models", "unload", "careful"]);
    succeed(&line, &["models", "load", "careful"]);
    wait_delivery("careful", "at_least_once");
    let before = infer.metric(COMMITTED);
    assert_eq!(ask("careful", 2), before, "no more transactions");
}
