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
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
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
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make folder {}", folder.display()))?;
    }
    Ok(duomo_data::atomic_write(path, bytes)?)
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
