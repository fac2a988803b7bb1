//! Times every metric of four labels, beside other tools on the same arrays.
//!
//! `cargo xtask bench metrics` runs it; criterion would time the crate alone, while what counts here
//! is the ratio to tools that run in another process.
#![expect(clippy::print_stdout, reason = "the table is the result of this program")]

mod cases;
mod peers;
mod random;

use std::path::PathBuf;
use std::time::Instant;

use cases::{Case, LABELS};
use duomo_metrics::{Options, evaluate};
use peers::Peers;
use serde_json::{Value, json};

/// Runs of a case: at least and at most this many, until they took [`ENOUGH_S`] together.
const RUNS: std::ops::RangeInclusive<usize> = 3..=50;
const ENOUGH_S: f64 = 2.0;

/// What the command line says.
struct Arguments {
    /// Where arrays and results go.
    out: PathBuf,
    /// An interpreter that can import the other tools.
    python: Option<PathBuf>,
    /// Which spoiled cases are timed: those whose name contains this.
    only: String,
    /// Whether all other tools are timed on spoiled cases, not the fastest one alone.
    all_on_spoiled: bool,
}

fn main() {
    let arguments = arguments();
    std::fs::create_dir_all(&arguments.out).expect("the folder of results can be made");
    let ordinary = [Case::read("perf_mr224"), Case::read("perf_ct256"), Case::large()];
    // Before and after the other tools, in case the machine is busier at one time than the other.
    let before = ordinary.each_ref().map(time);
    let Arguments { out, python, only, all_on_spoiled } = &arguments;
    let peers =
        python.as_ref().map(|python| Peers::measure(python, out, &ordinary, only, *all_on_spoiled));

    let mut results = Vec::new();
    println!("\n{:<24} {:>9}   fastest run of each, ratio to duomo", "case", "duomo");
    for (case, before) in ordinary.iter().zip(before) {
        let seconds = [before, time(case)].concat();
        let usual = fastest(&seconds);
        println!("{:<24} {}{}", case.name, text(usual), peer_columns(peers.as_ref(), case, usual));
        results.push(json!({"case": case.name, "shape": case.shape, "seconds": seconds}));
        for spoiled in case.spoiled() {
            if !spoiled.name.contains(only) {
                continue;
            }
            let seconds = time(&spoiled);
            let own = fastest(&seconds);
            let slower = own / usual;
            println!(
                "{:<24} {}   {slower:.1} × {}{}",
                spoiled.name,
                text(own),
                case.name,
                peer_columns(peers.as_ref(), &spoiled, own)
            );
            results.push(json!({"case": spoiled.name, "slower": slower, "seconds": seconds}));
        }
    }
    let peers = peers.map_or(Value::Null, |peers| peers.json);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let report = json!({
        "schema": "duomo.bench-metrics/1", "threads": threads, "cases": results, "peers": peers,
    });
    let file = out.join("results.json");
    std::fs::write(&file, format!("{report:#}\n")).expect("the results can be written");
    println!("\n{}", file.display());
}

/// Reads `--out DIR`, `--python FILE`, `--only NAME` and `--all-on-spoiled`; cargo adds `--bench`.
fn arguments() -> Arguments {
    let out = env!("CARGO_TARGET_TMPDIR").into();
    let mut arguments = Arguments { out, python: None, only: String::new(), all_on_spoiled: false };
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--out") => arguments.out = words.next().expect("--out needs a folder").into(),
            Some("--python") => arguments.python = words.next().map(PathBuf::from),
            Some("--only") => {
                let only = words.next().expect("--only needs part of a name");
                arguments.only = only.to_string_lossy().into_owned();
            }
            Some("--all-on-spoiled") => arguments.all_on_spoiled = true,
            Some("--bench") => {}
            _ => panic!("unknown argument {}", word.display()),
        }
    }
    arguments
}

/// Returns the seconds of each run: Dice, HD, HD95, ASSD, NSD and all else of four labels.
fn time(case: &Case) -> Vec<f64> {
    let options = Options::new(case.spacing_mm);
    let mut seconds = Vec::new();
    while seconds.len() < *RUNS.start()
        || (seconds.len() < *RUNS.end() && seconds.iter().sum::<f64>() < ENOUGH_S)
    {
        let start = Instant::now();
        let (prediction, reference) = (&case.prediction, &case.reference);
        let results = evaluate(prediction, reference, case.shape, &LABELS, &options);
        seconds.push(start.elapsed().as_secs_f64());
        assert!(results.is_ok_and(|results| results.len() == LABELS.len()));
    }
    seconds
}

/// Returns the fastest run: other work on the machine only ever adds time.
fn fastest(seconds: &[f64]) -> f64 {
    seconds.iter().copied().fold(f64::INFINITY, f64::min)
}

fn peer_columns(peers: Option<&Peers>, case: &Case, usual: f64) -> String {
    let columns = peers.into_iter().flat_map(|peers| peers.seconds(&case.name));
    let column = |(name, seconds): (&str, Vec<f64>)| {
        let seconds = fastest(&seconds);
        format!("   {name} {} = {:.0} ×", text(seconds).trim(), seconds / usual)
    };
    columns.map(column).collect()
}

fn text(seconds: f64) -> String {
    format!("{:>9}", format!("{:.2} ms", 1e3 * seconds))
}
