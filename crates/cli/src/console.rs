//! Results go to stdout, everything else to stderr.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Writes a result to stdout.
///
/// # Errors
///
/// If stdout is closed or full; a closed pipe ends the program quietly (see [`crate::exit`]).
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = [text, end].iter().try_for_each(|part| out.write_all(part.as_bytes()));
    written.and_then(|()| out.flush()).context("cannot write the results to stdout")
}

/// Writes a result as JSON to stdout, or to a file if `target` is not `-`.
///
/// # Errors
///
/// If the target cannot be written.
pub(crate) fn print_json(value: &impl Serialize, target: &str) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    if target == "-" {
        print(&text)?;
    } else {
        write_file(Path::new(target), (text + "\n").as_bytes())?;
    }
    Ok(())
}

/// Writes a file as a whole or not at all, with its folders.
///
/// # Errors
///
/// If the folder or the file cannot be written.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if path == Path::new("/dev/stdout") {
        // Opened anew, a file behind it would be written to from its beginning.
        let mut out = io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        return written.context("cannot write to stdout");
    }
    if let Some(folder) = path.parent() {
        duomo_data::make_folder(folder)?;
    }
    Ok(duomo_data::atomic_write(path, bytes)?)
}

/// A refusal to write as the error that names path, cause and remedy.
pub(crate) fn unwritable(path: &Path, reason: io::Error) -> anyhow::Error {
    duomo_data::Error::Write { path: path.to_owned(), reason }.into()
}

/// Logs a sentence.
pub(crate) fn note(message: &str) {
    tracing::info!("{message}");
}

/// Logs something that deserves attention.
pub(crate) fn warn(message: &str) {
    tracing::warn!("{message}");
}

/// Logs why the program ends.
pub(crate) fn fail(message: &str) {
    tracing::error!("{message}");
}
