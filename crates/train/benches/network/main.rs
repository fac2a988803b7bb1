//! Times whole training steps and whole volumes beside other tools: `cargo xtask bench step`, `predict`.
//!
//! Every tool is a process that does one case as often as it is asked, so the most memory it ever held is
//! that case's. The processes take turns, so that other load on the machine meets all of them; a time is
//! the median of all rounds, of three steps or one volume each. Before any time is taken they have to
//! agree: the losses of three steps without dropout, or the voxels of each class.
//!
//! The first argument is `step` or `predict`. `--out FOLDER` gets the table too, `--python PATH` names an
//! interpreter that can import the peers, `--threads N` gives every process N threads in place of 2,
//! `--rounds N` sets the rounds, `--slices N` gives every case N slices (a wide network takes minutes for
//! whole volumes; the table says how many there were), and other arguments keep the cases whose line
//! contains one of them.
#![expect(clippy::print_stdout, reason = "a table is all this program is for")]

mod case;
mod peers;
mod server;
mod table;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use case::{Case, Work};
use peers::Peer;
use table::Table;

/// Where the rest of the numbers may differ: order of sums, and what dropout draws.
const LOSS_TOLERANCE: f64 = 1e-3;
const VOXEL_TOLERANCE: f64 = 1e-3;

/// Schedule, width, side and slices (per modality) of each step.
const STEPS: [(&str, usize, usize, usize); 3] =
    [("paper", 16, 224, 2), ("paper", 8, 224, 4), ("paper", 4, 112, 8)];

/// Schedule, width, side and slices of each volume.
const VOLUMES: [(&str, usize, usize, usize); 2] = [("paper", 16, 256, 160), ("quick", 4, 256, 160)];

/// What the command line says.
struct Arguments {
    bench: Option<String>,
    out: Option<PathBuf>,
    python: Option<String>,
    threads: String,
    rounds: usize,
    slices: Option<usize>,
    filters: Vec<String>,
}

impl Arguments {
    fn read() -> Result<Self> {
        let mut read = Self {
            bench: None,
            out: None,
            python: None,
            threads: "2".into(),
            rounds: 7,
            slices: None,
            filters: vec![],
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--out" => read.out = words.next().map(PathBuf::from),
                "--python" => read.python = words.next(),
                "--threads" => read.threads = words.next().context("--threads needs a number")?,
                "--rounds" => {
                    read.rounds = words.next().context("--rounds needs a number")?.parse()?;
                }
                "--slices" => {
                    read.slices = Some(words.next().context("--slices needs a number")?.parse()?);
                }
                // Cargo's own.
                "--bench" => {}
                _ if read.bench.is_none() => read.bench = Some(word),
                _ => read.filters.push(word),
            }
        }
        Ok(read)
    }

    fn keeps(&self, case: &Case) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|word| case.line().contains(word))
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::read()?;
    let mut cases = match arguments.bench.as_deref() {
        Some("serve") => return server::serve(&Case::parse(&arguments.filters.join(" "))?),
        Some("step") => STEPS.map(|sizes| of(Work::Step, sizes, 0.25)).to_vec(),
        Some("predict") => VOLUMES
            .iter()
            .flat_map(|&sizes| [Work::Segment, Work::Predict].map(|work| of(work, sizes, 0.0)))
            .collect(),
        other => bail!("got {other:?}, expected `step` or `predict`"),
    };
    for case in &mut cases {
        case.slices = arguments.slices.unwrap_or(case.slices);
    }
    let mut table = Table::default();
    for case in cases.iter().filter(|case| arguments.keeps(case)) {
        if case.work == Work::Step {
            agree_on_losses(&arguments, case)?;
        }
        measure(&arguments, case, &mut table)?;
    }
    if let Some(folder) = arguments.out {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("table.txt"), table.text())?;
    }
    Ok(())
}

fn of(work: Work, sizes: (&str, usize, usize, usize), dropout: f64) -> Case {
    let (schedule, width, side, slices) = sizes;
    Case { work, schedule: schedule.to_owned(), width, side, slices, dropout }
}

/// Fails if a peer's losses of three small steps are not Duomo's: it would not be the same network.
fn agree_on_losses(arguments: &Arguments, case: &Case) -> Result<()> {
    let small = Case { side: 64, slices: 2, dropout: 0.0, ..case.clone() };
    let (mut peers, _file) = start(arguments, &small, &["eager"])?;
    for step in 1..=3 {
        agree(&mut peers, LOSS_TOLERANCE).with_context(|| format!("in step {step}"))?;
    }
    Ok(())
}

/// Times a case with every peer that can do it.
fn measure(arguments: &Arguments, case: &Case, table: &mut Table) -> Result<()> {
    let others: &[&str] = match case.work {
        Work::Step => &["eager", "compile"],
        Work::Segment => &["eager", "compile", "onnx"],
        Work::Predict => &[],
    };
    let (mut peers, _file) = start(arguments, case, others)?;
    // The first answer of each includes its warming up. Steps with dropout draw unlike numbers.
    let tolerance = if case.work == Work::Step { f64::INFINITY } else { VOXEL_TOLERANCE };
    agree(&mut peers, tolerance)?;
    let mut seconds = vec![Vec::new(); peers.len()];
    // Training is step after step: the first one after others' turns, who emptied the caches, is not counted.
    let (uncounted, counted) = if case.work == Work::Step { (1, 3) } else { (0, 1) };
    for _ in 0..arguments.rounds {
        for (peer, seconds) in peers.iter_mut().zip(&mut seconds) {
            for _ in 0..uncounted {
                peer.ask()?;
            }
            for _ in 0..counted {
                seconds.push(peer.ask()?.seconds);
            }
        }
    }
    table.add(&case.line(), &peers, &seconds);
    Ok(())
}

/// The processes of a case, and the file that the other tools read.
fn start(
    arguments: &Arguments,
    case: &Case,
    others: &[&'static str],
) -> Result<(Vec<Peer>, tempfile::NamedTempFile)> {
    let file = tempfile::NamedTempFile::new()?;
    let mut peers = vec![Peer::ours(case, &arguments.threads)?];
    if let Some(python) = &arguments.python {
        case.save(file.path())?;
        for name in others {
            peers.push(Peer::other(name, python, case, file.path(), &arguments.threads)?);
        }
    }
    Ok((peers, file))
}

/// Asks every peer once. One that cannot answer is named and left out; one that disagrees is an error.
fn agree(peers: &mut Vec<Peer>, tolerance: f64) -> Result<()> {
    let ours = peers[0].ask()?.numbers;
    let mut failure = None;
    peers.retain_mut(|peer| {
        if peer.name == "duomo" {
            return true;
        }
        match peer.ask() {
            Ok(answer) => {
                let difference = difference(&ours, &answer.numbers);
                if difference > tolerance || answer.numbers.len() != ours.len() {
                    failure = Some(format!(
                        "{} says {:?}, duomo {ours:?}: not the same network",
                        peer.name, answer.numbers
                    ));
                }
                true
            }
            Err(error) => {
                println!("without {}: {error:#}", peer.name);
                false
            }
        }
    });
    failure.map_or(Ok(()), |failure| bail!(failure))
}

/// Sum of all differences over the sum of all numbers.
fn difference(ours: &[f64], theirs: &[f64]) -> f64 {
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    differences.sum::<f64>() / ours.iter().map(|number| number.abs()).sum::<f64>()
}
