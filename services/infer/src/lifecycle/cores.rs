//! Engines of one model never compute with more threads than there are cores.

use crate::settings::EngineSettings;

/// Instances and threads that fit, and what to say about it if they are fewer than the general settings ask for.
///
/// # Errors
/// The model's own settings ask for more than there is: a sentence that says what to do.
pub(super) fn fit(
    asked: &EngineSettings,
    general: &EngineSettings,
    cores: usize,
) -> Result<(EngineSettings, Option<String>), String> {
    let (instances, threads) = (asked.instances, asked.threads);
    if instances.saturating_mul(threads) <= cores {
        return Ok((asked.clone(), None));
    }
    let says = format!(
        "{instances} instances of {threads} threads need more than the {cores} cores of this process"
    );
    if (instances, threads) != (general.instances, general.threads) {
        return Err(format!(
            "{says}: lower engine.instances or engine.threads in its model.toml"
        ));
    }
    let threads = threads.min(cores);
    let fitting = EngineSettings {
        threads,
        instances: (cores / threads).clamp(1, instances),
        ..asked.clone()
    };
    let note = format!(
        "{says}, so it has {} of {}",
        fitting.instances, fitting.threads
    );
    Ok((fitting, Some(note)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(instances: usize, threads: usize) -> EngineSettings {
        EngineSettings {
            instances,
            threads,
            ..EngineSettings::default()
        }
    }

    fn fitted(asked: &EngineSettings, cores: usize) -> (usize, usize, bool) {
        let (fitting, note) = fit(asked, asked, cores).unwrap();
        (fitting.instances, fitting.threads, note.is_some())
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        assert_eq!(fitted(&engine(2, 4), 8), (2, 4, false));
        assert_eq!(fitted(&engine(1, 1), 1), (1, 1, false));
    }

    #[test]
    fn general_settings_are_reduced_to_the_cores_and_it_is_said() {
        assert_eq!(fitted(&engine(1, 16), 4), (1, 4, true));
        assert_eq!(fitted(&engine(8, 1), 4), (4, 1, true));
        assert_eq!(fitted(&engine(4, 3), 8), (2, 3, true));
        assert_eq!(fitted(&engine(9, 9), 4), (1, 4, true));
    }

    #[test]
    fn a_models_own_settings_beyond_the_cores_are_refused_with_advice() {
        let error = fit(&engine(4, 4), &engine(1, 1), 8).unwrap_err();
        assert!(
            error.contains("model.toml") && error.contains("8 cores"),
            "{error}"
        );
    }
}
