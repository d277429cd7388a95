//! The text forms of metrics. The library writes OpenMetrics; the classic format is made of that, line by line.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// Content type of OpenMetrics.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Content type of the classic format.
pub(crate) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything as OpenMetrics text.
///
/// # Errors
/// A metric that cannot be encoded.
pub(crate) fn open_metrics(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

/// The same in the classic format: a family of counters is named like its samples, and there are no exemplars.
pub(crate) fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // The line of help comes before the type, which decides about the name.
    let mut help = None;
    for line in open_metrics.lines() {
        match Line::of(line) {
            Line::Help { name, text } => help = Some((name, text)),
            Line::Type { name, kind } => {
                let suffix = match kind {
                    "counter" => "_total",
                    "info" => "_info",
                    _ => "",
                };
                let kind = match kind {
                    "info" => "gauge",
                    "unknown" => "untyped",
                    kind => kind,
                };
                if let Some((name, help)) = help.take() {
                    text.push_str(&format!("# HELP {name}{suffix} {help}\n"));
                }
                text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
            }
            Line::Sample(sample) => {
                text.push_str(without_exemplar(sample));
                text.push('\n');
            }
            Line::Other => {}
        }
    }
    text
}

/// A line of OpenMetrics text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Help {
        name: &'a str,
        text: &'a str,
    },
    Type {
        name: &'a str,
        kind: &'a str,
    },
    Sample(&'a str),
    /// A unit, the end.
    Other,
}

impl<'a> Line<'a> {
    pub(crate) fn of(line: &'a str) -> Self {
        let named = |rest: &'a str| rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = named(rest);
            return Self::Help { name, text };
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = named(rest);
            return Self::Type { name, kind };
        }
        match line.is_empty() || line.starts_with('#') {
            true => Self::Other,
            false => Self::Sample(line),
        }
    }
}

/// One value.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    /// Names and values, unescaped.
    pub(crate) labels: Vec<(&'a str, String)>,
    pub(crate) value: f64,
}

impl<'a> Sample<'a> {
    /// Reads a line of one; `None` if it is malformed.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let line = without_exemplar(line);
        let (head, value) = line.rsplit_once(' ')?;
        let (name, labels) = match head.split_once('{') {
            None => (head, Vec::new()),
            Some((name, labels)) => (name, labels_of(labels.strip_suffix('}')?)?),
        };
        let value = value.parse().ok()?;
        Some(Self {
            name,
            labels,
            value,
        })
    }
}

/// `a="1",b="2"`, with backslashes before quotes, backslashes and the `n` of line ends.
fn labels_of(mut text: &str) -> Option<Vec<(&str, String)>> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = rest.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => match letters.next()?.1 {
                    'n' => value.push('\n'),
                    letter => value.push(letter),
                },
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name, value));
        text = rest.get(end + 1..)?;
        text = text.strip_prefix(',').unwrap_or(text);
    }
    Some(labels)
}

/// A sample's line up to its exemplar, if it has one. Label values may hold anything, between quotes.
fn without_exemplar(line: &str) -> &str {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'#' if !is_quoted => return line.get(..at).unwrap_or(line).trim_end(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_format_names_counters_like_their_samples_and_has_no_exemplars() {
        let open = "# HELP a_seconds Time.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
                    a_seconds_bucket{le=\"1.0\",x=\"q\\\" # {\"} 4 # {trace_id=\"ab\"} 0.5\n\
                    # HELP b Things.\n# TYPE b counter\nb_total{k=\"v\"} 2\n# EOF\n";
        let expected = "# HELP a_seconds Time.\n# TYPE a_seconds histogram\n\
                        a_seconds_bucket{le=\"1.0\",x=\"q\\\" # {\"} 4\n\
                        # HELP b_total Things.\n# TYPE b_total counter\nb_total{k=\"v\"} 2\n";
        assert_eq!(classic(open), expected);
    }

    #[test]
    fn a_sample_is_read_with_its_labels() {
        let line = "b_total{k=\"a\\\"b\\\\c\\nd\",l=\"\"} 2.5 # {trace_id=\"ab\"} 1";
        let labels = vec![("k", "a\"b\\c\nd".to_owned()), ("l", String::new())];
        let sample = Sample {
            name: "b_total",
            labels,
            value: 2.5,
        };
        assert_eq!(Sample::parse(line), Some(sample));
        let plain = Sample::parse("g 7").unwrap();
        assert_eq!((plain.name, plain.value), ("g", 7.0));
        for bad in ["", "g", "g x", "g{a=\"b} 1", "g{a} 1"] {
            assert_eq!(Sample::parse(bad), None, "{bad}");
        }
    }
}
