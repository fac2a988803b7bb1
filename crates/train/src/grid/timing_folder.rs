//! The folder of a short timing, and what becomes of one whose process was killed.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind::AlreadyExists;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use duomo_data::make_folder;

use crate::run_folder::unwritable;

/// How the folder's name begins.
const PREFIX: &str = ".timing-";

/// The file in it that its process holds locked.
const LOCK: &str = ".lock";

/// A folder below those of the runs that one process times a run in.
#[derive(Debug)]
pub(super) struct TimingFolder {
    root: PathBuf,
    /// Held as long as the folder is in use; the system lets go of it when the process ends in whatever way.
    _lock: File,
}

impl TimingFolder {
    /// Makes one for a run of this name.
    ///
    /// # Errors
    ///
    /// A folder that cannot be made or written to.
    pub(super) fn new(runs: &Path, name: &str) -> Result<Self> {
        make_folder(runs)?;
        let root = make_first_free(runs, name)?;
        // Locked before it has its name: whoever finds it finds it locked.
        let unnamed = root.join(".lock.tmp");
        let lock = File::create(&unnamed).map_err(|reason| unwritable(&unnamed, reason))?;
        // Some network file systems know no locks; there, nothing is ever taken for stale.
        let _ = lock.try_lock();
        let named = root.join(LOCK);
        fs::rename(&unnamed, &named).map_err(|reason| unwritable(&named, reason))?;
        Ok(Self { root, _lock: lock })
    }

    /// The run folder in it.
    pub(super) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Removes it with all that it holds.
    ///
    /// # Errors
    ///
    /// A folder that cannot be removed.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.root)
            .with_context(|| format!("cannot remove {}", self.root.display()))
    }
}

fn make_first_free(runs: &Path, name: &str) -> Result<PathBuf, duomo_data::Error> {
    let mut number = 0_u64;
    loop {
        let root = runs.join(format!("{PREFIX}{name}-{number}"));
        match fs::create_dir(&root) {
            Err(error) if error.kind() == AlreadyExists => number += 1,
            made => return made.map(|()| root.clone()).map_err(|reason| unwritable(&root, reason)),
        }
    }
}

/// Removes the folders below `runs` in which processes that were killed had timed a run for
/// [`estimate()`](super::estimate()).
///
/// Those of living processes stay, and what cannot be removed stays, too: it is in nobody's way.
pub fn remove_stale_timings(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Without the file, a process is just making the folder.
        let lock = OpenOptions::new().read(true).append(true).open(entry.path().join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_in_use_stays() {
        let runs = tempfile::tempdir().unwrap();
        let runs = runs.path();
        let [killed, living] = [(); 2].map(|()| TimingFolder::new(runs, "csa").unwrap());
        fs::create_dir_all(killed.run().join("checkpoints")).unwrap();
        fs::create_dir_all(living.run()).unwrap();
        fs::create_dir_all(runs.join(".timing-just-begun")).unwrap();
        fs::create_dir_all(runs.join("csa")).unwrap();
        fs::write(runs.join("csa/.lock"), "").unwrap();
        drop(killed);

        remove_stale_timings(runs);

        assert_eq!(names(runs), [".timing-csa-1", ".timing-just-begun", "csa"]);
        assert!(living.run().is_dir());
        living.remove().unwrap();
        remove_stale_timings(runs);
        assert_eq!(names(runs), [".timing-just-begun", "csa"]);
        remove_stale_timings(&runs.join("nothing"));
    }
}
