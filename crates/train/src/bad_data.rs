//! Data or run folders that cannot be used as they are.

/// What was found, what was expected, where, and the remedy.
///
/// A type of its own inside [`anyhow::Error`], so that the program can tell it from a failure while
/// running and return another exit code.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadData(String);

impl BadData {
    /// The fault as an error with this sentence.
    pub(crate) fn error(sentence: String) -> anyhow::Error {
        Self(sentence).into()
    }
}
