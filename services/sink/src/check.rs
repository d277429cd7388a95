//! `--check`: can the destinations be used? `millrace check` shows the answer beside its own findings.

use std::io::{self, Write};

use crate::destinations;
use crate::settings::Settings;

/// Looks at the destination of every pipeline, and changes nothing. Writes a line per pipeline: `ok`
/// or `error`, the pipeline, and a sentence, separated by tabs. Answers how many are errors.
///
/// # Errors
/// When `out` cannot be written.
pub fn check(settings: &Settings, out: &mut impl Write) -> io::Result<usize> {
    let mut errors = 0;
    for pipeline in &settings.pipelines {
        let (verdict, sentence) = match destinations::check(pipeline, &settings.kafka) {
            Ok(sentence) => ("ok", sentence),
            Err(error) => {
                errors += 1;
                ("error", format!("{error:#}"))
            }
        };
        let sentence = sentence.replace(char::is_control, " ");
        writeln!(out, "{verdict}\tpipeline {}\t{sentence}", pipeline.name)?;
    }
    Ok(errors)
}
