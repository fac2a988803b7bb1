//! The processes that are compared.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::case::{Case, Work};

/// How long threads of the peer before may still spin in the hope of more work.
const SPIN: Duration = Duration::from_millis(20);

/// A process that does one case as often as it is asked.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// What a peer says after doing its work once.
pub(crate) struct Answer {
    pub(crate) seconds: f64,
    /// The loss, or the voxels of each class: what the peers must agree on.
    pub(crate) numbers: Vec<f64>,
}

impl Peer {
    /// This program.
    pub(crate) fn ours(case: &Case, threads: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Self::start("duomo", command.arg("serve").arg(case.line()), threads)
    }

    /// Another tool, given the file that the case was saved to.
    pub(crate) fn other(
        name: &'static str,
        python: &str,
        case: &Case,
        file: &Path,
        threads: &str,
    ) -> Result<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
        let mut command = Command::new(python);
        if case.work == Work::Step {
            let optimizer = case.experiment()?.schedule.optimizer;
            let numbers = [case.dropout, optimizer.rate, optimizer.l2];
            command.arg(scripts.join("bench_step_torch.py")).arg(file).arg(name);
            command.args(numbers.map(|number| number.to_string()));
        } else {
            command.arg(scripts.join("bench_predict_peers.py")).arg(file).arg(name);
        }
        Self::start(name, &mut command, threads)
    }

    fn start(name: &'static str, command: &mut Command, threads: &str) -> Result<Self> {
        command.env("RAYON_NUM_THREADS", threads).env("OMP_NUM_THREADS", threads);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = process.stdin.take().context("the input is piped")?;
        let from = BufReader::new(process.stdout.take().context("the output is piped")?);
        Ok(Self { name, process, to, from })
    }

    /// Has the work done once.
    ///
    /// # Errors
    ///
    /// A process that has ended, or whose answer is not numbers.
    pub(crate) fn ask(&mut self) -> Result<Answer> {
        std::thread::sleep(SPIN);
        writeln!(self.to)?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let numbers: Vec<f64> =
            line.split_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()
                .with_context(|| format!("{} answered `{}`", self.name, line.trim()))?;
        let Some((&seconds, numbers)) = numbers.split_first() else {
            bail!("{} ended without an answer", self.name);
        };
        Ok(Answer { seconds, numbers: numbers.to_vec() })
    }

    /// The most memory that was ever resident, in MiB; only Linux tells.
    pub(crate) fn peak_mib(&self) -> Option<f64> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib / 1024.0)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The peers wait for input for ever; nothing is lost by ending them.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
