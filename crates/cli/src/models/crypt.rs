//! `millrace models encrypt` and `decrypt`: files of a model with a key that only infer has besides.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use millrace_vault::{Key, VaultError};

use crate::output::{Output, json, write};

/// End of the names of encrypted files.
const SUFFIX: &str = ".enc";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file
    file: PathBuf,
    /// File of the key: any text of 12 bytes or more, the same as models.key_file of infer
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Where to write to; FILE.enc, or FILE without .enc, when not given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes `FILE.enc` beside a file.
pub(super) fn encrypt(args: &Args, output: Output) -> anyhow::Result<()> {
    let target = match &args.output {
        Some(target) => target.clone(),
        None => PathBuf::from(format!("{}{SUFFIX}", args.file.display())),
    };
    transform(args, &target, 0o644, |input, sealed, key| {
        millrace_vault::encrypt(input, sealed, key)
    })?;
    say(output, "encrypted", &target)
}

/// Writes `FILE` beside `FILE.enc`, readable by its owner only.
pub(super) fn decrypt(args: &Args, output: Output) -> anyhow::Result<()> {
    let target = match &args.output {
        Some(target) => target.clone(),
        None => without_suffix(&args.file)?,
    };
    transform(args, &target, 0o600, |input, plain, key| {
        millrace_vault::decrypt(input, plain, key)
    })?;
    say(output, "decrypted", &target)
}

fn without_suffix(file: &Path) -> anyhow::Result<PathBuf> {
    let name = file.to_str().and_then(|name| name.strip_suffix(SUFFIX));
    name.map(PathBuf::from).with_context(|| {
        format!(
            "{} does not end in {SUFFIX}: say where to write to with --output",
            file.display()
        )
    })
}

/// Writes the target whole or not at all; what is there already stays.
fn transform(
    args: &Args,
    target: &Path,
    mode: u32,
    work: impl FnOnce(BufReader<File>, &mut BufWriter<File>, &Key) -> Result<u64, VaultError>,
) -> anyhow::Result<()> {
    let key = Key::read(&args.key_file)?;
    let input =
        File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    ensure!(!target.exists(), "{} is there already", target.display());
    let passing = PathBuf::from(format!("{}.{}", target.display(), std::process::id()));
    let outcome = (|| {
        let output = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&passing)?;
        let mut output = BufWriter::new(output);
        work(BufReader::new(input), &mut output, &key)?;
        output.flush()?;
        output.get_ref().sync_all()?;
        fs::rename(&passing, target)?;
        anyhow::Ok(())
    })();
    if outcome.is_err() {
        let _ = fs::remove_file(&passing);
    }
    outcome.with_context(|| format!("{} is not written", target.display()))
}

fn say(output: Output, what: &str, target: &Path) -> anyhow::Result<()> {
    let target = target.display().to_string();
    match output {
        Output::Json => json(&serde_json::json!({ what: target })),
        Output::Text => write(format!("{what}: {target}\n").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(folder: &Path, file: &str) -> Args {
        Args {
            file: folder.join(file),
            key_file: folder.join("key"),
            output: None,
        }
    }

    #[test]
    fn a_file_comes_back_as_it_was_and_nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("key"), "correct horse battery\n").unwrap();
        fs::write(path("model.onnx"), "weights").unwrap();
        encrypt(&args(folder.path(), "model.onnx"), Output::Json).unwrap();
        assert!(decrypt(&args(folder.path(), "model.onnx.enc"), Output::Json).is_err());
        fs::remove_file(path("model.onnx")).unwrap();
        decrypt(&args(folder.path(), "model.onnx.enc"), Output::Json).unwrap();
        assert_eq!(fs::read(path("model.onnx")).unwrap(), b"weights");
    }

    #[test]
    fn a_wrong_key_is_a_sentence_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("key"), "correct horse battery").unwrap();
        fs::write(path("model.onnx"), "weights").unwrap();
        encrypt(&args(folder.path(), "model.onnx"), Output::Json).unwrap();
        fs::remove_file(path("model.onnx")).unwrap();
        fs::write(path("key"), "incorrect horse battery").unwrap();
        let error = decrypt(&args(folder.path(), "model.onnx.enc"), Output::Json).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("the key is not the one"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
