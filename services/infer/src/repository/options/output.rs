//! `[output]`: what becomes of the outputs before they are sent.

use std::collections::BTreeMap;

use millrace_boot::InvalidSetting;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use toml::{Table, Value};

/// What becomes of the outputs before they are sent. Keys in `[output]` itself speak of the model's only output, keys in
/// `[output.<name>]` of the one of that name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OutputOptions {
    /// Names of the outputs that are sent, in this order; all when empty.
    pub(crate) select: Vec<String>,
    /// For the only output.
    pub(crate) only: Option<Treatment>,
    /// By name.
    pub(crate) named: BTreeMap<String, Treatment>,
}

/// What becomes of one output; the steps run in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Treatment {
    /// Scores become probabilities, along the last dimension.
    pub(crate) softmax: bool,
    /// Lower scores do not count.
    pub(crate) threshold: Option<f64>,
    /// Only so many of the highest scores, along the last dimension.
    pub(crate) top_n: Option<usize>,
    /// `topN(n)`, as Cluster Serving writes `top_n`.
    filter: Option<TopN>,
    /// A file beside the model: the name of each class on a line of its own.
    pub(crate) labels: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct TopN(usize);

impl<'de> Deserialize<'de> for TopN {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let count = text
            .strip_prefix("topN(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|count| count.trim().parse().ok());
        count
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is no filter; write \"topN(5)\"")))
    }
}

impl<'de> Deserialize<'de> for OutputOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut options = Self::default();
        let mut only = Table::new();
        // A value is an option, a table the options of an output: an output may be named as an option is.
        for (key, value) in Table::deserialize(deserializer)? {
            let of_key = |error: toml::de::Error| {
                D::Error::custom(format!("output.{key}: {}", error.message()))
            };
            match value {
                Value::Table(table) => {
                    let treatment = Treatment::deserialize(table).map_err(of_key)?;
                    options.named.insert(key, treatment);
                }
                value if key == "select" => {
                    options.select = Vec::deserialize(value).map_err(of_key)?;
                }
                value => {
                    only.insert(key, value);
                }
            }
        }
        if !only.is_empty() {
            let treatment = Treatment::deserialize(only);
            let inside =
                |error: toml::de::Error| D::Error::custom(format!("output: {}", error.message()));
            options.only = Some(treatment.map_err(inside)?);
        }
        for treatment in options.only.iter_mut().chain(options.named.values_mut()) {
            if let Some(TopN(count)) = treatment.filter {
                if treatment.top_n.is_some_and(|other| other != count) {
                    let problem =
                        "output: filter and top_n are two ways to say one thing: keep one";
                    return Err(D::Error::custom(problem));
                }
                treatment.top_n = Some(count);
            }
        }
        Ok(options)
    }
}

impl OutputOptions {
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        if let Some(treatment) = &self.only {
            treatment.validate("output")?;
        }
        for (name, treatment) in &self.named {
            treatment.validate(&format!("output.{name}"))?;
        }
        let twice = |(index, name): (usize, &String)| self.select[..index].contains(name);
        if let Some((_, name)) = self.select.iter().enumerate().find(|it| twice(*it)) {
            let problem = format!("has {name:?} twice");
            return Err(InvalidSetting::new("output.select", problem));
        }
        Ok(())
    }
}

impl Treatment {
    fn validate(&self, section: &str) -> Result<(), InvalidSetting> {
        let wrong = |key: &str, problem: String| {
            Err(InvalidSetting::new(format!("{section}.{key}"), problem))
        };
        if self.top_n == Some(0) {
            return wrong("top_n", "is 0; it must be at least 1".to_owned());
        }
        if let Some(threshold) = self.threshold.filter(|it| it.is_nan()) {
            return wrong("threshold", format!("is {threshold}; it must be a number"));
        }
        match &self.labels {
            Some(_) if self.top_n.is_none() => {
                wrong("labels", "are for top_n, which is not set".to_owned())
            }
            Some(file)
                if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\']) =>
            {
                let problem =
                    format!("is {file:?}; it must be the name of a file beside the model");
                wrong("labels", problem)
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<OutputOptions, String> {
        let options: OutputOptions = toml::from_str(text).map_err(|error| error.to_string())?;
        options.validate().map_err(|error| error.to_string())?;
        Ok(options)
    }

    #[test]
    fn cluster_servings_filter_is_another_way_to_write_top_n() {
        let one = read("filter = \"topN(5)\"").unwrap().only.unwrap();
        let other = read("top_n = 5").unwrap().only.unwrap();
        assert_eq!((one.top_n, other.top_n), (Some(5), Some(5)));
    }

    #[test]
    fn an_output_may_be_named_as_an_option_is() {
        let text = "select = [\"labels\"]\nsoftmax = true\n[labels]\ntop_n = 2";
        let options = read(text).unwrap();
        assert_eq!(options.select, ["labels"]);
        assert!(options.only.unwrap().softmax);
        assert_eq!(options.named["labels"].top_n, Some(2));
        let options = read("[select]\nthreshold = 0.5").unwrap();
        assert_eq!(options.named["select"].threshold, Some(0.5));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("top_n = 0", "output.top_n"),
            ("filter = \"top5\"", "topN(5)"),
            ("filter = \"topN(5)\"\ntop_n = 4", "keep one"),
            ("labels = \"labels.txt\"", "output.labels are for top_n"),
            (
                "[x]\ntop_n = 1\nlabels = \"../labels.txt\"",
                "output.x.labels is",
            ),
            ("threshold = nan", "output.threshold"),
            ("top_k = 5", "top_k"),
            ("[scores]\ntop_k = 5", "output.scores"),
            ("select = [\"a\", \"a\"]", "twice"),
            ("select = \"a\"", "output.select"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
