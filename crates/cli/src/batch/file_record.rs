//! What a file was when it was used.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use duomo_data::files_of_volume;
use serde::{Deserialize, Serialize};

/// Size, time and digest of a file; of both files if it is half of a pair (`.hdr`, `.img`).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct FileRecord {
    /// Size in bytes, of both halves of a pair.
    pub bytes: u64,
    /// Time of the last change, in nanoseconds since 1970, where the file system keeps one; a pair has two,
    /// and so none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_ns: Option<u64>,
    /// BLAKE3 of the contents.
    pub blake3: String,
}

impl FileRecord {
    /// Reads a file, a piece at a time.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let (mut bytes, mut times) = (0, Vec::new());
        for half in files_of_volume(path) {
            let file = File::open(half)?;
            let (size, modified_ns) = size_and_time(&file)?;
            hasher.update_reader(file)?;
            bytes += size;
            times.push(modified_ns);
        }
        let modified_ns = if let [time] = times[..] { time } else { None };
        Ok(Self { bytes, modified_ns, blake3: hasher.finalize().to_hex().to_string() })
    }

    /// Whether the file, in the same place, holds the same bytes still. One of the same size and time is taken to.
    pub(crate) fn is_unchanged(&self, path: &Path) -> bool {
        if files_of_volume(path).len() > 1 {
            return self.is_whole(path);
        }
        let found = File::open(path).and_then(|file| size_and_time(&file)).ok();
        match found {
            Some((bytes, _)) if bytes != self.bytes => false,
            Some((_, modified_ns)) if modified_ns.is_some() && modified_ns == self.modified_ns => {
                true
            }
            Some(_) => self.is_whole(path),
            None => false,
        }
    }

    /// Whether the file holds the same bytes still, all of them read.
    pub(crate) fn is_whole(&self, path: &Path) -> bool {
        Self::of(path).is_ok_and(|found| found.bytes == self.bytes && found.blake3 == self.blake3)
    }
}

fn size_and_time(file: &File) -> io::Result<(u64, Option<u64>)> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((metadata.len(), modified.and_then(|time| u64::try_from(time.as_nanos()).ok())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_touched_file_is_unchanged_and_an_edited_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.nii");
        fs::write(&path, "voxels").unwrap();
        let record = FileRecord::of(&path).unwrap();

        let later = SystemTime::now() + Duration::from_secs(9);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(record.is_unchanged(&path) && record.is_whole(&path));

        fs::write(&path, "vOxels").unwrap();
        assert!(!record.is_unchanged(&path) && !record.is_whole(&path));
        fs::remove_file(&path).unwrap();
        assert!(!record.is_unchanged(&path) && !record.is_whole(&path));
    }

    #[test]
    fn a_pair_is_known_by_both_its_halves() {
        let folder = tempfile::tempdir().unwrap();
        let [header, voxels] = ["a.hdr", "a.img.gz"].map(|name| folder.path().join(name));
        fs::write(&header, "header").unwrap();
        let alone = FileRecord::of(&header).unwrap();
        fs::write(&voxels, "voxels").unwrap();
        let pair = FileRecord::of(&header).unwrap();
        assert_eq!(FileRecord::of(&voxels).unwrap(), pair);
        assert!(pair.is_unchanged(&header) && !alone.is_unchanged(&header));

        fs::write(&voxels, "vOxels").unwrap();

        assert!(!pair.is_unchanged(&header) && !pair.is_unchanged(&voxels));
    }
}
