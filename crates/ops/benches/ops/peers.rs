//! The processes that are compared.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::cases::Case;

/// A process that reads cases and answers with seconds.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// This program with the algorithm prescribed; `duomo` leaves the choice to the table.
    pub(crate) fn ours(name: &'static str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Self::start(name, command.arg("serve").env("DUOMO_CONV2D", name))
    }

    /// PyTorch, if `python` can import it.
    pub(crate) fn torch(python: &str) -> Result<Option<Self>> {
        let mut probe = Command::new(python);
        if !probe.args(["-c", "import torch"]).stderr(Stdio::null()).status()?.success() {
            return Ok(None);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/bench_ops_torch.py");
        Self::start("torch", Command::new(python).arg(script)).map(Some)
    }

    fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = process.stdin.take().expect("the input is piped");
        let from = BufReader::new(process.stdout.take().expect("the output is piped"));
        Ok(Self { name, process, to, from })
    }

    /// Asks for a time.
    pub(crate) fn seconds(&mut self, case: &Case) -> Result<f64> {
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
