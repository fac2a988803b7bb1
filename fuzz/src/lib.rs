//! What the targets share: a folder in memory, and a limit on what reading may allocate.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use peak_alloc::PeakAlloc;
use tempfile::TempDir;

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    made.expect("a folder for the inputs")
});

/// A path in the targets' folder.
pub fn at(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

/// Writes an input to a file and returns its path.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = at(name);
    std::fs::write(&path, bytes).expect("the input can be written");
    path
}

/// Runs `read` and panics if it held more bytes at once than 64 MiB, which is what a gzip trailer is trusted with, and
/// twelve times the bytes that can really be in the file. Deflate expands at most 1032 times.
pub fn within_memory<T>(file_bytes: usize, read: impl FnOnce() -> T) -> T {
    let before = ALLOCATIONS.current_usage();
    ALLOCATIONS.reset_peak_usage();
    let result = read();
    let held = ALLOCATIONS.peak_usage().saturating_sub(before);
    let allowed = (66 << 20) + 12 * 1032 * file_bytes;
    assert!(held <= allowed, "{held} bytes were held for a file of {file_bytes}");
    result
}
