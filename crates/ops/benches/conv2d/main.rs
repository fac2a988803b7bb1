//! Times 3×3 convolutions, directly and by Winograd's algorithm, beside PyTorch:
//! `cargo xtask bench ops`.
//!
//! Every peer is a process that times what it is asked for. The peers take turns at every case, so that
//! other load on the machine meets all of them; a figure is the median over the rounds. Arguments keep
//! the cases whose line contains one of them.
#![expect(clippy::print_stdout, reason = "a table is all this program is for")]

mod cases;
mod peers;
mod server;

use std::error::Error;

use cases::{Case, GROUPS, PASSES};
use peers::Peer;

/// Rounds that every peer takes part in.
const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments == ["serve"] {
        return Ok(server::serve()?);
    }
    let mut peers = vec![Peer::ours("direct")?, Peer::ours("winograd")?, Peer::ours("duomo")?];
    match Peer::torch()? {
        Some(torch) => peers.push(torch),
        None => println!("PyTorch is missing: run scripts/install-torch.sh to compare with it"),
    }
    for (heading, shapes) in GROUPS {
        println!("\n{heading}: ms, and the last column's time over duomo's");
        let names: String = peers.iter().map(|peer| format!("{:>10}", peer.name)).collect();
        println!("{:32}{names}", "pass, N C H K dilation");
        for &[batch, channels, side, outputs, dilation] in shapes {
            for pass in PASSES {
                let case = Case { pass, batch, channels, side, outputs, dilation };
                if arguments.is_empty() || arguments.iter().any(|word| case.line().contains(word)) {
                    print_case(&case, &mut peers)?;
                }
            }
        }
    }
    Ok(())
}

fn print_case(case: &Case, peers: &mut [Peer]) -> Result<(), Box<dyn Error>> {
    let mut seconds = vec![vec![]; peers.len()];
    for _ in 0..ROUNDS {
        for (peer, seconds) in peers.iter_mut().zip(&mut seconds) {
            seconds.push(peer.seconds(case)?);
        }
    }
    let medians: Vec<f64> = seconds.into_iter().map(median).collect();
    print!("{:32}", case.line());
    for median in &medians {
        print!("{:10.3}", median * 1e3);
    }
    println!("{:8.2}", medians[medians.len() - 1] / medians[2]);
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
