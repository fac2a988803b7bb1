//! Training recipes: build the program, make data if none is given, train.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::console;

/// What both training recipes accept besides the data folder.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct TrainArgs {
    /// Run folder; under target/runs when it is left out.
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Name or file of the method.
    #[arg(long, default_value = "csa")]
    method: String,
    /// Name or file of the schedule; `quick` on phantom data and `paper` on real data by default.
    #[arg(long)]
    schedule: Option<String>,
    /// Arguments passed on to `duomo train`, after `--`.
    #[arg(last = true)]
    extra: Vec<OsString>,
}

/// Trains on `data`, or on a phantom data set that is made once under `target/`.
///
/// # Errors
///
/// If the program cannot be built, or if one of its runs fails; it has said why.
pub(crate) fn train(
    root: &Path,
    dataset: &str,
    data: Option<&Path>,
    args: &TrainArgs,
) -> Result<()> {
    build(root)?;
    let (folder, usual_schedule) = match data {
        Some(folder) => (absolute(folder)?, "paper"),
        None => (phantom(root, dataset)?, "quick"),
    };
    duomo(root, &train_arguments(dataset, &folder, usual_schedule, args)?)
}

/// Builds the program.
///
/// # Errors
///
/// If it cannot be built; cargo has said why.
pub(crate) fn build(root: &Path) -> Result<()> {
    let build = ["build", "--release", "--package", "duomo-cli"];
    check(Command::new("cargo").args(build).current_dir(root))
}

/// The arguments of `duomo train`. Paths given by the user are made absolute, because the program
/// runs in the workspace's root.
fn train_arguments(
    dataset: &str,
    data: &Path,
    usual_schedule: &str,
    args: &TrainArgs,
) -> Result<Vec<OsString>> {
    let schedule = args.schedule.as_deref().unwrap_or(usual_schedule);
    let out = match &args.out {
        Some(out) => absolute(out)?,
        None => PathBuf::from(format!("target/runs/train-{dataset}")),
    };
    let mut arguments: Vec<OsString> =
        ["train", "--dataset", dataset, "--method", &args.method, "--schedule", schedule]
            .map(OsString::from)
            .to_vec();
    arguments.extend(["--data".into(), data.into(), "--out".into(), out.into()]);
    arguments.extend(args.extra.iter().cloned());
    Ok(arguments)
}

/// Makes the phantom data set unless a finished one is there, and returns its folder.
///
/// # Errors
///
/// If the program fails, or a folder under `target/` cannot be written to.
pub(crate) fn phantom(root: &Path, dataset: &str) -> Result<PathBuf> {
    let folder = PathBuf::from(format!("target/phantom/{dataset}"));
    // Beside the folder, not in it: the data set looks like the official one, file by file.
    let marker = root.join(format!("target/phantom/{dataset}.finished"));
    if marker.is_file() {
        console::say(&format!("phantom data set: {} (made before)", folder.display()));
        return Ok(folder);
    }
    let unfinished = root.join(&folder);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("cannot remove unfinished {}", unfinished.display()))?;
    }
    let scale = ["--matrix-scale", phantom_scale(dataset)].map(OsString::from);
    let mut arguments: Vec<OsString> =
        vec!["phantom".into(), dataset.into(), "--out".into(), folder.clone().into()];
    arguments.extend(scale);
    duomo(root, &arguments)?;
    fs::write(&marker, "").with_context(|| format!("cannot write {}", marker.display()))?;
    Ok(folder)
}

/// Voxels per edge relative to a real scan. Whole-heart volumes at full size take minutes to make,
/// and the quick schedule looks at coarser pixels anyway.
fn phantom_scale(dataset: &str) -> &'static str {
    if dataset == "mmwhs" { "0.4" } else { "1" }
}

/// Runs the program through cargo, which knows where it built it.
///
/// # Errors
///
/// If the program fails; it has said why.
pub(crate) fn duomo(root: &Path, arguments: &[OsString]) -> Result<()> {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    console::say(&format!("$ duomo {}", words.join(" ")));
    let run = ["run", "--quiet", "--release", "--package", "duomo-cli", "--bin", "duomo", "--"];
    check(Command::new("cargo").args(run).args(arguments).current_dir(root))
}

fn check(command: &mut Command) -> Result<()> {
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().to_string_lossy());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(arguments: &[OsString]) -> String {
        arguments.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn phantom_data_trains_csa_at_the_quick_schedule() {
        let data = Path::new("target/phantom/mscmr");
        let args = TrainArgs { method: "csa".into(), ..TrainArgs::default() };

        let arguments = train_arguments("mscmr", data, "quick", &args).unwrap();

        assert_eq!(
            words(&arguments),
            "train --dataset mscmr --method csa --schedule quick \
             --data target/phantom/mscmr --out target/runs/train-mscmr"
        );
    }

    #[test]
    fn real_data_trains_at_the_papers_schedule() {
        let args = TrainArgs { method: "csa".into(), ..TrainArgs::default() };

        let arguments = train_arguments("mmwhs", Path::new("/scans"), "paper", &args).unwrap();

        assert!(words(&arguments).contains("--schedule paper --data /scans"));
    }

    #[test]
    fn a_given_schedule_and_extra_arguments_win() {
        let args = TrainArgs {
            method: "msbn".into(),
            schedule: Some("quick".into()),
            extra: vec!["--seed".into(), "3".into()],
            out: Some("/runs/a".into()),
        };

        let arguments = train_arguments("mscmr", Path::new("/scans"), "paper", &args).unwrap();

        assert_eq!(
            words(&arguments),
            "train --dataset mscmr --method msbn --schedule quick \
             --data /scans --out /runs/a --seed 3"
        );
    }
}
