//! The program `duomo`: one network, unpaired modalities.
//!
//! stdout carries results, stderr everything else. Exit codes: 0 done, 1 failed while running,
//! 2 wrong usage, 3 bad data, 4 some cases failed; a signal shows as 128 plus its number.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

mod ablation_table;
mod batch;
mod comparison;
mod console;
mod exit;
mod feature_files;
mod figures;
mod loaded_case;
mod logging;
mod paper_tables;
mod pictures;
mod progress;
mod report;
mod run_pictures;
mod scores;
mod signals;
mod table;
mod verbs;

use verbs::Verb;

/// Segment unpaired modalities with one network: train, predict, evaluate.
#[derive(Debug, Parser)]
#[command(name = "duomo", version, propagate_version = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed while running, 2 wrong usage, 3 bad data, \
                        4 some cases failed,\n130 and 143 interrupted.\nNothing is ever sent or fetched over a network.")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    verbosity: logging::Verbosity,
}

fn main() -> ExitCode {
    let Arguments { verb, verbosity } = Arguments::parse();
    verbosity.begin();
    // Feature maps of equal sizes come again and again. Nothing else does, and memory fresh from the system
    // is zero without being written: what stays zero, as most bit planes of an evaluation, costs nothing.
    if matches!(verb, Verb::Train(_) | Verb::Predict(_) | Verb::Grid(_) | Verb::Features(_)) {
        duomo_train::keep_freed_memory();
    }
    match run(&verb) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            let code = exit::code_of(&error);
            match code {
                0 => {}
                // Whoever interrupted it knows: what was kept is all there is to say.
                128.. => console::note(&format!("{error:#}")),
                _ => console::fail(&format!("{error:#}")),
            }
            ExitCode::from(code)
        }
    }
}

fn run(verb: &Verb) -> anyhow::Result<exit::Outcome> {
    if matches!(verb, Verb::Train(_) | Verb::Predict(_) | Verb::Grid(_)) {
        signals::catch().context("cannot watch for signals")?;
    }
    verbs::run(verb)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
