//! What the process returns to whoever started it.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::signals;

/// How a verb ended that did not fail as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was done: 0.
    Done,
    /// The data have faults, which were listed: 3.
    FaultsFound,
    /// Some cases failed, which were listed; the others were done: 4.
    SomeFailed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::FaultsFound => 3,
            Outcome::SomeFailed => 4,
        })
    }
}

/// Why the program ends early: a mistake found after the arguments were parsed, or a signal.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The arguments make no sense together: 2.
    Usage(String),
    /// The data cannot be used as they are: 3.
    Data(String),
    /// Not a mistake: a signal ended the work early. 128 and the signal's number.
    Interrupted(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Data(message) | Self::Interrupted(message) => {
                formatter.write_str(message)
            }
        }
    }
}

impl std::error::Error for Fault {}

/// Turns a failure into one that counts as a mistake in the arguments.
pub(crate) fn usage(error: &anyhow::Error) -> anyhow::Error {
    Fault::Usage(format!("{error:#}")).into()
}

/// The same, but data and files that cannot be read keep their own code.
pub(crate) fn usage_unless_data(error: anyhow::Error) -> anyhow::Error {
    if code_of(&error) == 1 { usage(&error) } else { error }
}

/// The exit code of a failure: 0 for a closed pipe, 2 for usage, 3 for bad data, 128 and the signal's
/// number for a run that was interrupted, else 1.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of_cause).unwrap_or(1)
}

fn code_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return (error.kind() == io::ErrorKind::BrokenPipe).then_some(0);
    }
    if cause.is::<duomo_train::Interrupted>() {
        return signals::caught().map(|number| 128 + number);
    }
    if let Some(fault) = cause.downcast_ref::<Fault>() {
        return match fault {
            Fault::Usage(_) => Some(2),
            Fault::Data(_) => Some(3),
            Fault::Interrupted(_) => signals::caught().map(|number| 128 + number),
        };
    }
    if let Some(error) = cause.downcast_ref::<duomo_data::Error>() {
        return Some(if matches!(error, duomo_data::Error::Write { .. }) { 1 } else { 3 });
    }
    let is_data = cause.is::<duomo_metrics::Error>() || cause.is::<duomo_train::BadData>();
    is_data.then_some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_innermost_known_cause() {
        let usage = anyhow::Error::from(Fault::Usage("no".into())).context("cannot train");
        let data = anyhow::Error::from(Fault::Data("no".into())).context("cannot check");
        let pipe = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        let disk = anyhow::Error::from(io::Error::from(io::ErrorKind::StorageFull));

        let codes = [usage, data, pipe, disk].map(|error| code_of(&error));

        assert_eq!(codes, [2, 3, 0, 1]);
    }

    #[test]
    fn unwritable_files_are_no_fault_of_the_data() {
        let reason = || io::Error::from(io::ErrorKind::PermissionDenied);
        let write = duomo_data::Error::Write { path: "a".into(), reason: reason() };
        let read = duomo_data::Error::Read { path: "a".into(), reason: reason() };

        assert_eq!(code_of(&write.into()), 1);
        assert_eq!(code_of(&read.into()), 3);
    }
}
