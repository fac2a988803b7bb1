//! The built program, run as a user runs it.

mod compare;
mod evaluate;
mod grid;
#[cfg(unix)]
mod killed;
mod phantom_and_check;
mod predict;
mod predict_files;
mod report;
mod run;
#[cfg(unix)]
mod signals;
mod streams;
#[cfg(unix)]
mod unwritable;
mod usage;

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs `duomo` with these arguments.
fn duomo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_duomo"))
        .args(arguments)
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("the program can be started")
}

/// A mask of the metrics fixtures.
fn mask(name: &str) -> String {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/metrics/masks");
    folder.join(name).to_str().expect("the path is UTF-8").to_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("stdout is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("stdout is JSON and nothing else")
}
