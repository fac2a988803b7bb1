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
    #[arg(long, value_name = "NAME|FILE")]
    schedule: Option<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Arguments passed on to `duomo train`, after `--`.
    #[arg(last = true)]
    extra: Vec<OsString>,
}

/// Where to compute, passed on to the program, which is built to do so.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct DeviceArgs {
    /// Where to compute; for a card the program is built with CUDA, whose toolkit must be there.
    #[arg(long, value_name = "cpu|cuda[:N]")]
    device: Option<String>,
    /// Arithmetic of convolutions and affinities on a card; tf32 and bf16 are built with cuDNN.
    #[arg(long, value_name = "f32|tf32|bf16")]
    precision: Option<String>,
}

impl DeviceArgs {
    /// The program that can do so.
    pub(crate) fn program<'a>(&self, root: &'a Path) -> Duomo<'a> {
        let plain = self.precision.as_deref().is_none_or(|precision| precision == "f32");
        let feature = self.is_card().then_some(if plain { "cuda" } else { "cudnn" });
        Duomo { root, feature }
    }

    /// Says how long the paper's schedule takes on a processor where nobody asked for it.
    pub(crate) fn say_if_slow(&self, schedule: Option<&str>, usual: &str) {
        if self.is_slow(schedule, usual) {
            console::say(
                "schedule paper: three to five days a run on two cores; --schedule hour is the one for a processor",
            );
        }
    }

    fn is_slow(&self, schedule: Option<&str>, usual: &str) -> bool {
        schedule.is_none() && usual == "paper" && !self.is_card()
    }

    fn is_card(&self) -> bool {
        self.device.as_deref().is_some_and(|device| device.starts_with("cuda"))
    }

    /// The arguments that say so.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = OsString> {
        let given = [("--device", &self.device), ("--precision", &self.precision)];
        let given = given.into_iter().filter_map(|(key, value)| Some([key, value.as_deref()?]));
        given.flatten().map(OsString::from).collect::<Vec<_>>().into_iter()
    }
}

/// The program, built from this tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Duomo<'a> {
    root: &'a Path,
    /// Beside the default ones.
    feature: Option<&'static str>,
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
    let duomo = args.device.program(root);
    duomo.build()?;
    let (folder, usual_schedule) = match data {
        Some(folder) => (absolute(folder)?, "paper"),
        None => (duomo.phantom(dataset)?, "quick"),
    };
    args.device.say_if_slow(args.schedule.as_deref(), usual_schedule);
    duomo.run(&train_arguments(dataset, &folder, usual_schedule, args)?)
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
    let mut arguments: Vec<OsString> = ["train", "--dataset", dataset].map(OsString::from).to_vec();
    arguments.extend(["--method".into(), name_or_file(&args.method)?]);
    arguments.extend(["--schedule".into(), name_or_file(schedule)?]);
    arguments.extend(["--data".into(), data.into(), "--out".into(), out.into()]);
    arguments.extend(args.device.arguments());
    arguments.extend(args.extra.iter().cloned());
    Ok(arguments)
}

/// A built-in name as it is, or the place of a file.
pub(crate) fn name_or_file(name: &str) -> Result<OsString> {
    let is_file = Path::new(name).extension().is_some();
    Ok(if is_file { absolute(name)?.into() } else { name.into() })
}

impl Duomo<'_> {
    /// Builds the program.
    ///
    /// # Errors
    ///
    /// If it cannot be built; cargo has said why.
    pub(crate) fn build(self) -> Result<()> {
        let build = ["build", "--release", "--package", "duomo-cli"];
        check(Command::new("cargo").args(build).args(self.features()).current_dir(self.root))
    }

    /// Makes the phantom data set unless a finished one is there, and returns its folder.
    ///
    /// # Errors
    ///
    /// If the program fails, or a folder under `target/` cannot be written to.
    pub(crate) fn phantom(self, dataset: &str) -> Result<PathBuf> {
        let folder = PathBuf::from(format!("target/phantom/{dataset}"));
        // Beside the folder, not in it: the data set looks like the official one, file by file.
        let marker = self.root.join(format!("target/phantom/{dataset}.finished"));
        if marker.is_file() {
            console::say(&format!("phantom data set: {} (made before)", folder.display()));
            return Ok(folder);
        }
        let unfinished = self.root.join(&folder);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .with_context(|| format!("cannot remove unfinished {}", unfinished.display()))?;
        }
        let scale = ["--matrix-scale", phantom_scale(dataset)].map(OsString::from);
        let mut arguments: Vec<OsString> =
            vec!["phantom".into(), dataset.into(), "--out".into(), folder.clone().into()];
        arguments.extend(scale);
        self.run(&arguments)?;
        fs::write(&marker, "").with_context(|| format!("cannot write {}", marker.display()))?;
        Ok(folder)
    }

    /// Runs the program through cargo, which knows where it built it.
    ///
    /// # Errors
    ///
    /// If the program fails; it has said why.
    pub(crate) fn run(self, arguments: &[OsString]) -> Result<()> {
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        console::say(&format!("$ duomo {}", words.join(" ")));
        let run = ["run", "--quiet", "--release", "--package", "duomo-cli", "--bin", "duomo"];
        let mut command = Command::new("cargo");
        command.args(run).args(self.features()).arg("--").args(arguments);
        check(command.current_dir(self.root))
    }

    fn features(self) -> impl Iterator<Item = &'static str> {
        self.feature.into_iter().flat_map(|feature| ["--features", feature])
    }
}

/// Voxels per edge relative to a real scan. Whole-heart volumes at full size take minutes to make,
/// and the quick schedule looks at coarser pixels anyway.
fn phantom_scale(dataset: &str) -> &'static str {
    if dataset == "mmwhs" { "0.4" } else { "1" }
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
    fn files_are_found_from_the_workspaces_root() {
        let (method, schedule) = ("mine.toml".to_owned(), Some("quick.toml".to_owned()));
        let args = TrainArgs { method, schedule, ..TrainArgs::default() };

        let arguments = train_arguments("mscmr", Path::new("/scans"), "paper", &args).unwrap();

        let here = std::env::current_dir().unwrap();
        let [method, schedule] = ["mine.toml", "quick.toml"].map(|file| here.join(file));
        let expected = format!("--method {} --schedule {} ", method.display(), schedule.display());
        assert!(words(&arguments).contains(&expected), "{}", words(&arguments));
    }

    #[test]
    fn a_card_is_for_a_program_that_is_built_for_it() {
        let on = |device: &str, precision: Option<&str>| DeviceArgs {
            device: Some(device.to_owned()),
            precision: precision.map(str::to_owned),
        };
        let root = Path::new(".");
        let features = |args: &DeviceArgs| args.program(root).features().collect::<Vec<_>>();

        assert!(features(&DeviceArgs::default()).is_empty());
        assert!(features(&on("cpu", None)).is_empty());
        assert_eq!(features(&on("cuda:1", None)), ["--features", "cuda"]);
        assert_eq!(features(&on("cuda", Some("bf16"))), ["--features", "cudnn"]);
        let arguments: Vec<_> = on("cuda", Some("bf16")).arguments().collect();
        assert_eq!(words(&arguments), "--device cuda --precision bf16");
    }

    #[test]
    fn only_a_schedule_that_nobody_asked_for_is_called_slow() {
        let cpu = DeviceArgs::default();
        let card = DeviceArgs { device: Some("cuda".to_owned()), precision: None };

        assert!(cpu.is_slow(None, "paper"));
        assert!(!cpu.is_slow(None, "quick") && !cpu.is_slow(Some("paper"), "paper"));
        assert!(!card.is_slow(None, "paper"));
    }

    #[test]
    fn a_given_schedule_and_extra_arguments_win() {
        let args = TrainArgs {
            method: "msbn".into(),
            schedule: Some("quick".into()),
            extra: vec!["--seed".into(), "3".into()],
            out: Some("/runs/a".into()),
            ..TrainArgs::default()
        };

        let arguments = train_arguments("mscmr", Path::new("/scans"), "paper", &args).unwrap();

        assert_eq!(
            words(&arguments),
            "train --dataset mscmr --method msbn --schedule quick \
             --data /scans --out /runs/a --seed 3"
        );
    }
}
