//! What several rows do.

use std::time::Duration;

use e2e::{Api, Rule, Side, What};

use crate::rig::{Delivery, Rig};

pub(crate) fn kill_three_times(delivery: Delivery) {
    let rig = Rig::new(delivery);
    let first = rig.infer("first");
    let mut second = Some(rig.infer("second"));
    rig.run(|rig| {
        first.kill_9();
        rig.wait_for_progress();
        for name in ["third", "fourth"] {
            let next = rig.infer(name);
            if let Some(infer) = second.replace(next) {
                infer.kill_9();
            }
            rig.wait_for_progress();
        }
    });
    rig.settle();
}

pub(crate) fn kill_all(rig: &Rig) {
    for node in 1..=3 {
        rig.cluster().kill(node);
    }
    rig.cluster().start_again();
    rig.wait_for_progress();
}

pub(crate) fn rule(api: Api, side: Side, what: What) -> Rule {
    Rule {
        api: Some(api),
        node: None,
        side,
        what,
        times: 1,
    }
}

pub(crate) fn exactly_once_through(rules: &[Rule]) {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = rig.proxied_infer("proxied");
    let proxy = rig.cluster().proxy();
    rig.run(|rig| {
        for rule in rules {
            let number = proxy.add(*rule);
            e2e::wait_for(Duration::from_secs(60), &format!("{rule:?}"), || {
                (proxy.followed(number) > 0).then_some(())
            });
            rig.wait_for_progress();
            proxy.end(number);
        }
    });
    rig.settle();
}
