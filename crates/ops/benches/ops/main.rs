//! Times 3×3 convolutions, directly and by Winograd's algorithm, beside PyTorch: `cargo xtask bench ops`.
//!
//! Every peer is a process that times what it is asked for. The peers take turns at every case, so that
//! other load on the machine meets all of them; a figure is the fastest of all rounds. `--out FOLDER` gets
//! the table too, `--python PATH` names an interpreter that can import PyTorch, `--threads N` gives every
//! peer N threads in place of 2, and other arguments keep the cases whose line contains one of them.
#![expect(clippy::print_stdout, reason = "a table is all this program is for")]

mod cases;
mod peers;
mod server;

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use cases::{Case, GROUPS, PASSES};
use peers::Peer;

/// Rounds that every peer takes part in.
const ROUNDS: usize = 7;

/// What the command line says.
struct Arguments {
    serves: bool,
    out: Option<PathBuf>,
    python: Option<String>,
    threads: String,
    filters: Vec<String>,
}

impl Arguments {
    fn read() -> Self {
        let mut read =
            Self { serves: false, out: None, python: None, threads: "2".into(), filters: vec![] };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "serve" => read.serves = true,
                "--out" => read.out = words.next().map(PathBuf::from),
                "--python" => read.python = words.next(),
                "--threads" => read.threads = words.next().expect("a number follows --threads"),
                // Cargo's own.
                "--bench" => {}
                _ => read.filters.push(word),
            }
        }
        read
    }

    fn keeps(&self, case: &Case) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|word| case.line().contains(word))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read();
    if arguments.serves {
        return Ok(server::serve()?);
    }
    let threads = &arguments.threads;
    let ours = |name| Peer::ours(name, threads);
    let mut peers = vec![ours("direct")?, ours("winograd")?, ours("duomo")?];
    let torch = arguments.python.as_deref().map(|python| Peer::torch(python, threads));
    match torch.transpose()?.flatten() {
        Some(torch) => peers.push(torch),
        None => println!("PyTorch is missing: no peer to compare with"),
    }
    let mut table = String::new();
    for (heading, shapes) in GROUPS {
        let mut head = format!("\n{:67}", format!("{heading}: pass, N C H K dilation, ms"));
        for peer in &peers {
            write!(head, "{:>10}", peer.name)?;
        }
        emit(&mut table, &(head + "   torch / duomo"));
        for &[batch, channels, side, outputs, dilation] in shapes {
            for pass in PASSES {
                let case = Case { pass, batch, channels, side, outputs, dilation };
                if arguments.keeps(&case) {
                    emit(&mut table, &row(&case, &mut peers)?);
                }
            }
        }
    }
    if let Some(folder) = arguments.out {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("table.txt"), table)?;
    }
    Ok(())
}

/// Prints a line and keeps it.
fn emit(table: &mut String, line: &str) {
    println!("{line}");
    table.push_str(line);
    table.push('\n');
}

/// Times a case with every peer.
fn row(case: &Case, peers: &mut [Peer]) -> Result<String, Box<dyn Error>> {
    let mut fastest = vec![f64::INFINITY; peers.len()];
    for _ in 0..ROUNDS {
        for (peer, fastest) in peers.iter_mut().zip(&mut fastest) {
            *fastest = fastest.min(peer.seconds(case)?);
        }
    }
    let mut row = format!("{:67}", case.line());
    for seconds in &fastest {
        write!(row, "{:10.3}", seconds * 1e3)?;
    }
    if let [_, _, duomo, torch] = fastest[..] {
        write!(row, "{:16.2}", torch / duomo)?;
    }
    Ok(row)
}
