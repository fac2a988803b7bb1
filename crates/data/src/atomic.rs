//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// Writes a file so that its name always shows either the old bytes or all the new ones.
///
/// The bytes go to a hidden temporary name in the same folder, are flushed to the disk, and are
/// then renamed. Whatever fails, the temporary file is removed and an existing file stays as it was.
///
/// # Errors
///
/// - [`Error::Write`] with the path and what the operating system said: the folder does not exist or
///   is not writable, the disk is full, …
///
/// # Examples
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("summary.json");
/// duomo_data::atomic_write(&path, b"{}")?;
/// assert_eq!(std::fs::read(&path)?, b"{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_and_rename(path, bytes).map_err(|reason| Error::Write { path: path.to_owned(), reason })
}

fn write_and_rename(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, file) = create_beside(path)?;
    let written = fill(file, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one that helps; a leftover file is the lesser evil.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_folder(path);
    Ok(())
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// Creates a file that no other writer of the same path uses.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    loop {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{count}.tmp", process::id()));
        let temporary = path.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            // Another host on the same file system, or a leftover: take the next name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (temporary, file)),
        }
    }
}

/// Makes the new name itself survive a power cut, where folders can be flushed at all; the file is
/// complete in any case.
fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");

        atomic_write(&path, b"old").unwrap();
        atomic_write(&path, b"new").unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn names_the_path_and_the_reason_when_the_folder_is_missing() {
        let error = atomic_write(Path::new("no/such/folder/a.json"), b"").unwrap_err();

        assert!(matches!(&error, Error::Write { reason, .. }
            if reason.kind() == io::ErrorKind::NotFound));
        let text = error.to_string();
        assert!(text.starts_with("cannot write no/such/folder/a.json: No such file"), "{text}");
    }

    #[test]
    fn keeps_the_old_file_and_removes_the_temporary_one_when_renaming_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();

        assert!(atomic_write(&path, b"bytes").is_err());

        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reports_a_full_disk() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();

        let error = fill(full, b"bytes").unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn writes_one_path_from_many_threads_without_mixing_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared");

        std::thread::scope(|scope| {
            for letter in b'a'..b'i' {
                let path = &path;
                scope.spawn(move || atomic_write(path, &[letter; 4096]).unwrap());
            }
        });

        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 4096);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(names(folder.path()), ["shared"]);
    }
}
