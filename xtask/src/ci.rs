//! What CI runs, step by step, each step timed.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{check_cuda, console, tidy};

/// A cargo command of CI.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

const FORMAT: Step =
    Step { name: "format", arguments: &["fmt", "--all", "--check"], environment: &[] };

const LINTS: Step = Step {
    name: "lints",
    arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    environment: &[],
};

const TESTS: Step = Step { name: "tests", arguments: &["test", "--workspace"], environment: &[] };

const DOCS: Step = Step {
    name: "docs",
    arguments: &["doc", "--workspace", "--no-deps", "--document-private-items"],
    environment: &[("RUSTDOCFLAGS", "-D warnings")],
};

/// How one step ended.
struct Outcome {
    name: &'static str,
    passed: bool,
    took: Duration,
}

/// Runs every step, also after a failed one, and closes with a summary.
///
/// # Errors
///
/// If any step failed; the message names them all.
pub(crate) fn run(root: &Path) -> Result<()> {
    let outcomes = [
        timed(FORMAT.name, || cargo(root, &FORMAT)),
        timed(LINTS.name, || cargo(root, &LINTS)),
        timed("tidy", || tidy::run(root)),
        timed(TESTS.name, || cargo(root, &TESTS)),
        timed(DOCS.name, || cargo(root, &DOCS)),
        timed("check-cuda", || check_cuda::lint(root)),
    ];
    console::say(&summary(&outcomes));
    let failed: Vec<_> = outcomes.iter().filter(|step| !step.passed).map(|s| s.name).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Runs every test of the workspace and of its documentation.
///
/// # Errors
///
/// If a test failed; cargo has said which.
pub(crate) fn test(root: &Path, extra: &[String]) -> Result<()> {
    finish(Command::new("cargo").args(TESTS.arguments).args(extra).current_dir(root))
}

fn timed(name: &'static str, work: impl FnOnce() -> Result<()>) -> Outcome {
    console::say(&format!("\n── {name} {}", "─".repeat(72 - name.len())));
    let start = Instant::now();
    let result = work();
    if let Err(error) = &result {
        console::say(&format!("{name}: {error:#}"));
    }
    Outcome { name, passed: result.is_ok(), took: start.elapsed() }
}

fn cargo(root: &Path, step: &Step) -> Result<()> {
    let environment = step.environment.iter().copied();
    finish(Command::new("cargo").args(step.arguments).envs(environment).current_dir(root))
}

fn finish(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("cargo ended with {status}");
    }
    Ok(())
}

fn summary(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\n── summary ─────────────────────────────────────\n");
    for Outcome { name, passed, took } in outcomes {
        let verdict = if *passed { "passed" } else { "FAILED" };
        let _ = writeln!(text, "{name:<10} {verdict} {:>8.1} s", took.as_secs_f64());
    }
    let total: f64 = outcomes.iter().map(|step| step.took.as_secs_f64()).sum();
    let _ = write!(text, "{:<17} {total:>8.1} s", "total");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_every_step_with_its_verdict_and_time() {
        let outcomes = [
            Outcome { name: "format", passed: true, took: Duration::from_millis(400) },
            Outcome { name: "lints", passed: false, took: Duration::from_secs(61) },
        ];

        let text = summary(&outcomes);

        assert!(text.contains("format     passed      0.4 s\n"), "{text}");
        assert!(text.contains("lints      FAILED     61.0 s\n"), "{text}");
        assert!(text.ends_with("total                 61.4 s"), "{text}");
    }
}
