//! Finds the services: beside this program, or on PATH.

use std::path::{Path, PathBuf};

use crate::exit::Exit;

pub(super) const SERVICES: [&str; 3] = ["infer", "sink", "ingest"];

/// Where the services are, in the order of `SERVICES`.
#[derive(Debug)]
pub(super) struct Programs(Vec<(&'static str, PathBuf)>);

impl Programs {
    /// # Errors
    /// One is missing.
    pub(super) fn find() -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let mut folders: Vec<PathBuf> = own.parent().map(Path::to_owned).into_iter().collect();
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&path));
        Self::find_in(&folders)
    }

    fn find_in(folders: &[PathBuf]) -> anyhow::Result<Self> {
        let mut found = Vec::new();
        for service in SERVICES {
            let name = format!("millrace-{service}");
            let program = folders
                .iter()
                .map(|folder| folder.join(&name))
                .find(|it| it.is_file());
            let beside = folders.first().map_or(Path::new("."), PathBuf::as_path);
            let program = program.ok_or_else(|| {
                Exit::Missing.error(format!(
                    "{name} is neither beside this program in {} nor on PATH; install it there \
                     (make build puts all programs into target/release)",
                    beside.display()
                ))
            })?;
            found.push((service, program));
        }
        Ok(Self(found))
    }

    /// The program of a service that is one of `SERVICES`.
    pub(super) fn of(&self, service: &str) -> PathBuf {
        let found = self.0.iter().find(|(name, _)| *name == service);
        found.map_or_else(|| PathBuf::from(service), |(_, program)| program.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_has_a_program_is_taken() {
        let folders = [
            tempfile::TempDir::new().unwrap(),
            tempfile::TempDir::new().unwrap(),
        ];
        let paths: Vec<PathBuf> = folders.iter().map(|it| it.path().to_owned()).collect();
        for service in ["infer", "sink"] {
            std::fs::write(paths[0].join(format!("millrace-{service}")), "").unwrap();
        }
        let error = Programs::find_in(&paths).unwrap_err().to_string();
        assert!(error.starts_with("millrace-ingest is neither"), "{error}");
        let ingest = paths[1].join("millrace-ingest");
        std::fs::write(&ingest, "").unwrap();
        assert_eq!(Programs::find_in(&paths).unwrap().of("ingest"), ingest);
    }
}
