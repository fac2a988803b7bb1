//! The processes that are compared.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::cases::Case;

/// How long threads of the peer before may still spin in the hope of more work.
const SPIN: Duration = Duration::from_millis(20);

/// A process that reads cases and answers with seconds.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// This program with the algorithm prescribed; `duomo` leaves the choice to the table.
    pub(crate) fn ours(name: &'static str, threads: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Self::start(name, command.arg("serve").env("DUOMO_CONV2D", name), threads)
    }

    /// PyTorch, if `python` can import it.
    pub(crate) fn torch(python: &str, threads: &str) -> Result<Option<Self>> {
        let mut probe = Command::new(python);
        if !probe.args(["-c", "import torch"]).stderr(Stdio::null()).status()?.success() {
            return Ok(None);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/bench_ops_torch.py");
        Self::start("torch", Command::new(python).arg(script), threads).map(Some)
    }

    fn start(name: &'static str, command: &mut Command, threads: &str) -> Result<Self> {
        command.env("RAYON_NUM_THREADS", threads).env("OMP_NUM_THREADS", threads);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = process.stdin.take().expect("the input is piped");
        let from = BufReader::new(process.stdout.take().expect("the output is piped"));
        Ok(Self { name, process, to, from })
    }

    /// Asks for a time.
    pub(crate) fn seconds(&mut self, case: &Case) -> Result<f64> {
        std::thread::sleep(SPIN);
        writeln!(self.to, "{}", case.line())?;
        let mut answer = String::new();
        self.from.read_line(&mut answer)?;
        answer
            .trim()
            .parse()
            .map_err(|_| Error::other(format!("{} answered `{}`", self.name, answer.trim())))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The peers wait for input for ever; nothing is lost by ending them.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
