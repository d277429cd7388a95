//! Engines never compute with more threads than there are cores: versions that go by the general settings divide them,
//! and none may ask for more than all.

use crate::settings::EngineSettings;

/// What engines have to do with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Cores of this process.
    pub(super) cores: usize,
    /// Versions of all models that should be loaded.
    pub(super) versions: usize,
}

/// Instances and threads that fit, and what to say about it if they are fewer than the general settings ask for.
///
/// # Errors
/// The model's own settings ask for more than there is: a sentence that says what to do.
pub(super) fn fit(
    asked: &EngineSettings,
    general: &EngineSettings,
    machine: Machine,
) -> Result<(EngineSettings, Option<String>), String> {
    let Machine { cores, versions } = machine;
    let (instances, threads) = (asked.instances, asked.threads);
    let wanted = instances.saturating_mul(threads);
    let is_own = (instances, threads) != (general.instances, general.threads);
    let part = match is_own {
        true => cores,
        false => (cores / versions.max(1)).max(1),
    };
    if wanted <= part {
        return Ok((asked.clone(), None));
    }
    if is_own {
        return Err(format!(
            "{instances} instances of {threads} threads need more than the {cores} cores of this process: lower \
             engine.instances or engine.threads in its model.toml"
        ));
    }
    let threads_left = threads.min(part);
    let fitting = EngineSettings {
        threads: threads_left,
        instances: (part / threads_left).clamp(1, instances),
        ..asked.clone()
    };
    let note = format!(
        "{instances} instances of {threads} threads for each of {versions} versions need more than the {cores} cores of \
         this process, so it has {} of {}",
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

    fn alone(cores: usize) -> Machine {
        Machine { cores, versions: 1 }
    }

    fn fitted(asked: &EngineSettings, cores: usize) -> (usize, usize, bool) {
        fitted_among(asked, alone(cores))
    }

    fn fitted_among(asked: &EngineSettings, machine: Machine) -> (usize, usize, bool) {
        let (fitting, note) = fit(asked, asked, machine).unwrap();
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
        let error = fit(&engine(4, 4), &engine(1, 1), alone(8)).unwrap_err();
        assert!(
            error.contains("model.toml") && error.contains("8 cores"),
            "{error}"
        );
    }

    #[test]
    fn versions_divide_the_cores_and_each_has_one_thread_at_least() {
        let among = |versions| Machine { cores: 8, versions };
        assert_eq!(fitted_among(&engine(1, 8), among(1)), (1, 8, false));
        assert_eq!(fitted_among(&engine(1, 8), among(3)), (1, 2, true));
        assert_eq!(fitted_among(&engine(4, 2), among(2)), (2, 2, true));
        assert_eq!(fitted_among(&engine(1, 8), among(20)), (1, 1, true));
        assert_eq!(fitted_among(&engine(1, 1), among(20)), (1, 1, false));
        let own = fit(&engine(2, 2), &engine(1, 8), among(4)).unwrap();
        assert_eq!((own.0.instances, own.0.threads, own.1), (2, 2, None));
    }
}
