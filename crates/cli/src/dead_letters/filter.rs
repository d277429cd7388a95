//! Which dead letters are meant.

use std::time::Duration;

use crate::when;

use super::pile::Letter;

#[derive(clap::Args)]
pub(super) struct Filter {
    /// Only of this model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Only with this code, such as INVALID_ARGUMENT
    #[arg(long)]
    code: Option<String>,
    /// Only from this stage, such as decode, infer or sink
    #[arg(long)]
    stage: Option<String>,
    /// Only those that failed within this time, such as 10m or 2h
    #[arg(long, value_name = "SPAN", value_parser = when::parse_span)]
    since: Option<Duration>,
}

impl Filter {
    pub(super) fn is_empty(&self) -> bool {
        let texts = [&self.model, &self.code, &self.stage];
        self.since.is_none() && texts.iter().all(|text| text.is_none())
    }

    pub(super) fn takes(&self, letter: &Letter, now_unix_ms: i64) -> bool {
        let is = |wanted: &Option<String>, given: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(given))
        };
        let is_recent =
            |since: &Duration| when::ago(letter.failed_at_unix_ms, now_unix_ms) <= *since;
        is(&self.model, &letter.model)
            && is(&self.code, &letter.code)
            && is(&self.stage, &letter.stage)
            && self.since.as_ref().is_none_or(is_recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::pile::tests::pile;

    #[test]
    fn what_is_not_asked_for_is_left_out() {
        let pile = pile(0..10);
        let count = |filter: &Filter| {
            let letters = pile.letters.values();
            letters.filter(|letter| filter.takes(letter, 9000)).count()
        };
        let mut filter = Filter {
            model: Some("digits".to_owned()),
            code: Some("invalid_argument".to_owned()),
            stage: None,
            since: Some(Duration::from_secs(2)),
        };
        assert_eq!(count(&filter), 3);
        filter.stage = Some("sink".to_owned());
        assert_eq!(count(&filter), 0);
        assert!(!filter.is_empty());
    }
}
