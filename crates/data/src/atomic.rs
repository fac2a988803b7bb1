//! Files that appear whole or not at all.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// Bytes of a file's name that its temporary ones hold. Dots, process, number and extension make at most 37 more,
/// so that they fit where encryption leaves 143 bytes to a name, too.
const NAME_BYTES: usize = 97;

/// Writes a file so that its name always shows either the old bytes or all the new ones.
///
/// The bytes go to a hidden temporary name in the same folder, are flushed to the disk, and are
/// then renamed. Whatever fails, the temporary file is removed and an existing file stays as it was.
/// What is there and no file, such as a pipe or `/dev/stdout`, is written to and never replaced.
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
    let written = if is_stream(path) {
        OpenOptions::new().append(true).open(path).and_then(|mut stream| stream.write_all(bytes))
    } else {
        write_and_rename(path, bytes)
    };
    written.map_err(|reason| Error::Write { path: path.to_owned(), reason })
}

/// Makes a folder and those above it, if they are not there.
///
/// # Errors
///
/// - [`Error::Write`] with the folder and what the operating system said
pub fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|reason| Error::Write { path: path.to_owned(), reason })
}

/// Whether there is something that bytes can be sent to and that is no file, or stands for what this
/// process already has open, as `/dev/stdout` does.
fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
        || fs::read_link(path).is_ok_and(|target| target.starts_with("/proc/self/fd"))
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
        let mut hidden = temporary_stem(name);
        hidden.push(format!(".{}-{count}.tmp", process::id()));
        let temporary = path.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            // Another host on the same file system, or a leftover: take the next name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (temporary, file)),
        }
    }
}

/// How every temporary name of a file begins: with the file's own, or if that is long, with its beginning and a
/// digest of all of it.
fn temporary_stem(name: &OsStr) -> OsString {
    const DIGEST: usize = 16;
    let mut stem = OsString::from(".");
    if name.len() <= NAME_BYTES {
        stem.push(name);
    } else {
        let digest = blake3::hash(name.as_encoded_bytes()).to_hex();
        let text = name.to_string_lossy();
        stem.push(&text[..text.floor_char_boundary(NAME_BYTES - 1 - DIGEST)]);
        stem.push(format!("~{}", &digest[..DIGEST]));
    }
    stem
}

/// Removes the temporary files that killed processes have left in a folder when they wrote files of these names.
///
/// # Errors
///
/// - [`Error::Write`] with the folder or file, if it cannot be listed or removed
pub fn remove_leftovers<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = &'a OsStr>,
) -> Result<(), Error> {
    let unwritable = |path: &Path, reason| Error::Write { path: path.to_owned(), reason };
    let stems: BTreeSet<OsString> = names.into_iter().map(temporary_stem).collect();
    for entry in fs::read_dir(folder).map_err(|reason| unwritable(folder, reason))? {
        let entry = entry.map_err(|reason| unwritable(folder, reason))?;
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".tmp")?.rsplit_once('.'));
        if name.is_some_and(|(stem, _)| stems.contains(OsStr::new(stem))) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|reason| unwritable(&path, reason))?;
        }
    }
    Ok(())
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
    fn names_may_be_as_long_as_the_file_system_allows() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a".repeat(NAME_BYTES + 1), "a".repeat(255), "ü".repeat(127)] {
            atomic_write(&folder.path().join(&name), name.as_bytes()).unwrap();

            assert_eq!(fs::read(folder.path().join(&name)).unwrap(), name.as_bytes());
            assert!(temporary_stem(OsStr::new(&name)).len() <= 1 + NAME_BYTES);
        }
        assert_eq!(names(folder.path()).len(), 3);

        let error = atomic_write(&folder.path().join("a".repeat(256)), b"").unwrap_err();
        assert!(error.to_string().ends_with("; the name must be shorter"), "{error}");
    }

    #[test]
    fn leftovers_of_the_names_given_go_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [long, other] = ["x", "y"].map(|last| "a".repeat(200) + last);
        let given = ["a.nii.gz", &long].map(OsStr::new);
        let leftover = |name: &str| {
            let mut leftover = temporary_stem(OsStr::new(name)).into_string().unwrap();
            leftover.push_str(".12-3.tmp");
            leftover
        };
        let mut stay =
            ["a.nii.gz".to_owned(), leftover(&other), leftover("b.nii.gz"), ".tmp".into()];
        for name in stay.iter().cloned().chain([leftover("a.nii.gz"), leftover(&long)]) {
            fs::write(folder.path().join(name), "").unwrap();
        }

        remove_leftovers(folder.path(), given).unwrap();

        let mut left = names(folder.path());
        left.sort();
        stay.sort();
        assert_eq!(left, stay);
        assert_eq!(leftover("a.nii.gz"), ".a.nii.gz.12-3.tmp");
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
    fn reports_a_full_disk_and_does_not_replace_what_is_no_file() {
        let error = atomic_write(Path::new("/dev/full"), b"bytes").unwrap_err();

        let text = error.to_string();
        let expected =
            "cannot write /dev/full: No space left on device (os error 28); free some space there";
        assert_eq!(text, expected);
        assert!(!fs::metadata("/dev/full").unwrap().is_file());
    }

    #[test]
    fn a_file_in_the_way_of_a_folder_is_named_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();

        for path in [file.clone(), file.join("below")] {
            let text = make_folder(&path).unwrap_err().to_string();
            assert!(text.ends_with("; a file is where a folder should be"), "{text}");
            assert!(text.contains(path.to_str().unwrap()), "{text}");
        }
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
