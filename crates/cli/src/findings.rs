//! What a look around has found: what is well and what is not, each with what to do.

use serde::Serialize;

use crate::exit::Exit;
use crate::output::{self, Output};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Ok,
    /// Nothing is wrong yet, and something will not work.
    Warning,
    Error,
}

#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) subject: String,
    /// A sentence; what to do stands at its end.
    pub(crate) finding: String,
}

#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn ok(&mut self, subject: &str, finding: impl Into<String>) {
        self.add(Verdict::Ok, subject, finding);
    }

    pub(crate) fn warning(&mut self, subject: &str, finding: impl Into<String>) {
        self.add(Verdict::Warning, subject, finding);
    }

    pub(crate) fn error(&mut self, subject: &str, finding: impl Into<String>) {
        self.add(Verdict::Error, subject, finding);
    }

    pub(crate) fn add(&mut self, verdict: Verdict, subject: &str, finding: impl Into<String>) {
        self.0.push(Finding {
            verdict,
            subject: subject.to_owned(),
            finding: finding.into(),
        });
    }

    /// Prints all, in full and folded at 80 columns.
    ///
    /// # Errors
    /// At least one is an error: the exit code is then 1.
    pub(crate) fn conclude(&self, output: Output) -> anyhow::Result<()> {
        match output {
            Output::Json => output::json(&self.0)?,
            Output::Text => output::write(self.text().as_bytes())?,
        }
        let is_error = |finding: &&Finding| finding.verdict == Verdict::Error;
        match self.0.iter().filter(is_error).count() {
            0 => Ok(()),
            1 => Err(Exit::No.error("one finding must be mended")),
            several => Err(Exit::No.error(format!("{several} findings must be mended"))),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.0 {
            let verdict = match finding.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Error => "ERROR",
            };
            let sentence = format!("{}: {}", finding.subject, output::plain(&finding.finding));
            fold(&mut text, verdict, &sentence);
        }
        text
    }
}

/// A sentence beside its verdict; further lines are indented to it. A word that is wider than a line
/// stays whole, so that names can be copied.
fn fold(text: &mut String, verdict: &str, sentence: &str) {
    const INDENT: usize = 9;
    let mut line = format!("{verdict:<INDENT$}");
    let mut is_fresh = true;
    for word in sentence.split_whitespace() {
        let width = line.chars().count() + 1 + word.chars().count();
        if !is_fresh && width > output::WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(INDENT);
            is_fresh = true;
        }
        if !is_fresh {
            line.push(' ');
        }
        line.push_str(word);
        is_fresh = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_folded_beside_their_verdict() {
        let mut findings = Findings::default();
        findings.ok("models", "digits is served");
        findings.error("topics", format!("{}end", "word ".repeat(20)));
        let text = findings.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ok       models: digits is served");
        assert!(lines[1].starts_with("ERROR    topics: word"), "{text}");
        assert!(lines[2].starts_with("         word"), "{text}");
        assert!(lines.iter().all(|line| line.len() <= 80), "{text}");
        assert!(text.ends_with("end\n"), "{text}");
    }

    #[test]
    fn only_errors_make_the_answer_no() {
        let mut findings = Findings::default();
        findings.warning("models", "nobody serves digits");
        findings.conclude(Output::Text).unwrap();
        findings.error("topics", "one is missing");
        let error = findings.conclude(Output::Text).unwrap_err();
        assert_eq!(error.to_string(), "one finding must be mended");
    }
}
