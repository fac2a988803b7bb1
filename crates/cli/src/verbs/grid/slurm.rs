//! `duomo grid slurm`: the grid as a job array.

use std::env;
use std::path::{Path, absolute};

use anyhow::{Context as _, Result};
use duomo_train::{Compute, absolute_name};
use serde_json::json;

use super::GridArguments;
use crate::console;
use crate::exit::{Fault, Outcome};
use crate::verbs::device::DeviceArguments;

/// Arguments of `duomo grid slurm`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    grid: GridArguments,
    #[command(flatten)]
    device: DeviceArguments,
    /// Jobs that may run at the same time.
    #[arg(long, value_name = "N")]
    at_once: Option<usize>,
    /// Processor cores of each job.
    #[arg(long, value_name = "N", default_value_t = 8)]
    cores: usize,
    /// Longest time of a job, as sbatch takes it; a job that is cut short goes on when it is requeued.
    #[arg(long, value_name = "TIME", default_value = "24:00:00")]
    time: String,
    /// Print JSON: the script and how many jobs it has.
    #[arg(long)]
    json: bool,
}

/// Prints the script.
///
/// # Errors
///
/// A grid or data that cannot be used, a device that jobs of this program could not use, or a program that
/// does not know its own path.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let gres = gres(arguments.device.compute()?)?;
    let cells = arguments.grid.cells()?;
    let program = env::current_exe().context("the program does not know its own path")?;
    let script = script(arguments, &program, gres, cells.len())?;
    if arguments.json {
        let array = json!({"schema": "duomo.grid-slurm/1", "jobs": cells.len(), "script": script});
        console::print_json(&array, "-")?;
    } else {
        console::print(&script)?;
    }
    Ok(Outcome::Done)
}

/// The line that asks Slurm for a card, if jobs want one.
fn gres(compute: Compute) -> Result<&'static str> {
    match compute {
        Compute::Cpu => Ok(""),
        Compute::Cuda(0) => Ok("#SBATCH --gres=gpu:1\n"),
        Compute::Cuda(card) => Err(Fault::Usage(format!(
            "Slurm gives each job one card, which the job counts as 0, so none has a card {card}; give --device cuda"
        ))
        .into()),
    }
}

fn script(arguments: &Arguments, program: &Path, gres: &str, cells: usize) -> Result<String> {
    let grid = &arguments.grid;
    let path = |path: &Path| -> Result<String> {
        let path = absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
        Ok(path.to_string_lossy().into_owned())
    };
    let mut words = vec![path(program)?, "grid".to_owned(), "run".to_owned()];
    words.extend(["--grid".to_owned(), absolute_name(&grid.grid)?]);
    for (name, folder) in &grid.data {
        words.extend(["--data".to_owned(), format!("{name}={}", path(folder)?)]);
    }
    words.extend(["--runs".to_owned(), path(&grid.runs)?]);
    if let Some(schedule) = &grid.schedule {
        words.extend(["--schedule".to_owned(), absolute_name(schedule)?]);
    }
    if let Some(seeds) = grid.seeds {
        words.extend(["--seeds".to_owned(), seeds.to_string()]);
    }
    if let Some(folds) = grid.folds {
        words.extend(["--folds".to_owned(), folds.to_string()]);
    }
    words.extend(arguments.device.words());
    let command: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let at_once = arguments.at_once.map(|jobs| format!("%{jobs}")).unwrap_or_default();
    Ok(format!(
        "#!/bin/bash\n\
         # One job per run; submit again what is not done: finished runs are only read.\n\
         #SBATCH --job-name=duomo-{label}\n\
         #SBATCH --array=0-{last}{at_once}\n\
         #SBATCH --cpus-per-task={cores}\n\
         {gres}#SBATCH --time={time}\n\
         #SBATCH --requeue\n\
         #SBATCH --open-mode=append\n\
         #SBATCH --output=duomo-{label}-%a.log\n\
         export RAYON_NUM_THREADS=\"${{SLURM_CPUS_PER_TASK:-{cores}}}\"\n\
         cd {here}\n\
         exec {command} --index \"$SLURM_ARRAY_TASK_ID\"\n",
        label = grid.grid()?.label,
        last = cells.saturating_sub(1),
        cores = arguments.cores,
        time = arguments.time,
        here = quoted(&path(Path::new("."))?),
        command = command.join(" "),
    ))
}

/// A word as a shell takes it back unchanged.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=+:,@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[cfg(unix)]
    #[test]
    fn jobs_on_cards_ask_for_one_and_hand_device_and_precision_on() {
        let words = ["slurm", "--data", "mscmr=/a b", "--device", "cuda", "--precision", "tf32"];
        let Line { arguments } = Line::parse_from(words);
        let (program, gres) = (Path::new("/bin/echo"), gres(Compute::Cuda(0)).unwrap());

        let script = script(&arguments, program, gres, 6).unwrap();
        let mut job = Command::new("bash");
        let job = job.args(["-c", &script]).env("SLURM_ARRAY_TASK_ID", "4").output().unwrap();

        let (directives, rest) = script.split_once("export").unwrap();
        assert!(directives.contains("\n#SBATCH --gres=gpu:1\n"), "{script}");
        assert!(!rest.contains("#SBATCH"), "sbatch reads no directive behind a command: {script}");
        let given = String::from_utf8(job.stdout).unwrap();
        assert!(given.starts_with("grid run ") && given.contains("--data mscmr=/a b "), "{given}");
        assert!(given.ends_with(" --device cuda:0 --precision tf32 --index 4\n"), "{given}");
    }

    #[test]
    fn a_job_has_no_second_card() {
        assert_eq!(gres(Compute::Cpu).unwrap(), "");
        let error = gres(Compute::Cuda(1)).unwrap_err();
        assert!(error.to_string().ends_with("none has a card 1; give --device cuda"), "{error}");
        assert_eq!(crate::exit::code_of(&error), 2);
    }

    #[test]
    fn words_survive_the_shell() {
        for word in ["plain/path-1.toml", "a b", "it's", "$HOME", ""] {
            let echoed = Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(word))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(echoed.stdout).unwrap(), word);
        }
    }
}
