//! A run folder: where each file of a run lies, and when the run counts as finished.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use duomo_data::{atomic_write, make_folder};
use serde::{Deserialize, Serialize};

use crate::compute::Arithmetic;
use crate::experiment::Experiment;
use crate::provenance;

/// What to do when the run folder already holds a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// Go on from its last checkpoint if it is the same experiment, begin if there is none.
    #[default]
    Auto,
    /// Go on, and fail when there is nothing to go on from.
    Must,
    /// Begin, and fail when the folder is not empty: nothing is ever overwritten.
    Never,
}

/// `timing.json`: how long the part of a run that one process did has taken.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Timing {
    /// Seconds on the clock from the reading of the data to the last score.
    pub(crate) seconds: f64,
    /// Step that the process went on from; 0 if it began the run.
    pub(crate) from_step: u64,
    /// Steps of the whole run.
    pub(crate) steps: u64,
    /// Threads of the processor that it ran on.
    pub(crate) threads: usize,
    /// What computed the steps.
    #[serde(default)]
    pub(crate) arithmetic: Arithmetic,
}

/// The file by which processes keep each other out of a run folder.
const LOCK: &str = ".lock";

/// The files of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The run folder at `root`, if the experiment may run there; nothing is created yet.
    ///
    /// # Errors
    ///
    /// A folder that belongs to another experiment or does not fit `resume`; each says what was
    /// found and what would help.
    pub fn open(root: &Path, experiment: &Experiment, resume: Resume) -> Result<Self> {
        let folder = Self { root: root.to_owned() };
        folder.check(experiment, resume)?;
        Ok(folder)
    }

    fn check(&self, experiment: &Experiment, resume: Resume) -> Result<()> {
        let root = &self.root;
        let resolved = resolved(experiment)?;
        let found = match fs::read_to_string(self.experiment()) {
            Ok(found) => Some(found),
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => None,
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot tell whose run it is from {}", self.experiment().display())
                });
            }
        };
        match (resume, found) {
            (Resume::Never, Some(_)) => bail!(
                "{} already holds a run; give another --out, or --resume auto to go on with it",
                root.display()
            ),
            // Whatever it is, it is somebody's.
            (Resume::Never, None) if self.is_occupied() => bail!(
                "{} is not empty; give another --out, or --resume auto to begin beside what it holds",
                root.display()
            ),
            (Resume::Must, None) => {
                bail!("{} holds no run to resume; --resume auto begins one", root.display())
            }
            (_, Some(found)) if found != resolved => bail!(
                "{} holds a run of another experiment ({}); give another --out",
                root.display(),
                differences(&found, &resolved, &self.experiment())
            ),
            _ => {}
        }
        let begun = self.all_checkpoints().iter().any(|path| path.exists());
        if resume == Resume::Must && !begun && !self.is_done() {
            bail!(
                "{} holds no checkpoint to resume from; --resume auto begins afresh",
                root.display()
            );
        }
        Ok(())
    }

    /// Makes the folder, and in it the resolved experiment. Other processes are kept out of it until the
    /// returned file is dropped, or this process ends in whatever way.
    ///
    /// # Errors
    ///
    /// - a folder in which another process is at work, named with its host, or that cannot be made or written to
    /// - those of [`Self::open`], should another process have been in the folder since
    pub(crate) fn begin(&self, experiment: &Experiment, resume: Resume) -> Result<File> {
        let make = |folder: &Path| make_folder(folder).context("cannot create the run folder");
        make(&self.root)?;
        let lock = self.lock()?;
        self.check(experiment, resume)?;
        make(&self.checkpoints())?;
        make(&self.predictions())?;
        atomic_write(&self.experiment(), resolved(experiment)?.as_bytes())?;
        Ok(lock)
    }

    fn lock(&self) -> Result<File> {
        let path = self.root.join(LOCK);
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path);
        let mut file = file.map_err(|reason| unwritable(&path, reason))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Who it is, is a help; that there is somebody, is what counts.
                let _ = file.read_to_string(&mut owner);
                bail!(
                    "another process is at work in {} ({}); wait for it, or give another --out",
                    self.root.display(),
                    if owner.is_empty() { "unknown" } else { owner.trim() }
                )
            }
            // Some network file systems know no locks; two jobs on one folder are rare enough.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let owner = format!("process {} on {}\n", std::process::id(), provenance::host());
        let written = file.set_len(0).and_then(|()| file.write_all(owner.as_bytes()));
        written.map_err(|reason| unwritable(&path, reason))?;
        Ok(file)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `experiment.toml`, every key resolved.
    pub fn experiment(&self) -> PathBuf {
        self.root.join("experiment.toml")
    }

    /// `run.json`: version, commit, data hash, split, machine.
    pub fn run(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// `metrics.jsonl`: one line per step and per validation.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// `log.txt`: what the run said, with the time.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.txt")
    }

    /// `summary.json`: the test patients' scores.
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// `model.safetensors`: the best weights and all that prediction needs.
    pub fn model(&self) -> PathBuf {
        self.root.join("model.safetensors")
    }

    /// Where predictions of the test patients lie, one folder per modality.
    pub fn predictions(&self) -> PathBuf {
        self.root.join("predictions")
    }

    /// `timing.json` of the run in folder `root`: how long it took.
    pub(crate) fn timing_of(root: &Path) -> PathBuf {
        root.join("timing.json")
    }

    /// Where the pictures of the run in folder `root` lie.
    pub fn pictures_of(root: &Path) -> PathBuf {
        root.join("pictures")
    }

    /// `checkpoints/last.safetensors`.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.checkpoints().join("last.safetensors")
    }

    /// `checkpoints/previous.safetensors`, the one before: should the last be damaged.
    pub fn previous_checkpoint(&self) -> PathBuf {
        self.checkpoints().join("previous.safetensors")
    }

    /// `checkpoints/best.safetensors`, by validation score.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }

    /// Every checkpoint that a run can go on from, the newest first.
    pub(crate) fn all_checkpoints(&self) -> [PathBuf; 3] {
        [self.last_checkpoint(), self.previous_checkpoint(), self.best_checkpoint()]
    }

    fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    fn done(&self) -> PathBuf {
        self.root.join("DONE")
    }

    /// Whether the run went through to its end.
    pub fn is_done(&self) -> bool {
        self.done().exists()
    }

    /// Whether anything but a lock is in the folder.
    fn is_occupied(&self) -> bool {
        let is_lock =
            |entry: io::Result<DirEntry>| entry.is_ok_and(|entry| entry.file_name() == LOCK);
        fs::read_dir(&self.root).is_ok_and(|mut entries| !entries.all(is_lock))
    }

    /// Marks the run as finished; called last.
    ///
    /// # Errors
    ///
    /// A folder that can no longer be written to.
    pub fn mark_done(&self) -> Result<()> {
        Ok(atomic_write(&self.done(), b"")?)
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    ///
    /// A folder that can no longer be written to, or a full disk.
    pub fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        Ok(atomic_write(path, text.as_bytes())?)
    }

    /// Appends one line of JSON to `metrics.jsonl`.
    ///
    /// # Errors
    ///
    /// A folder that can no longer be written to, or a full disk.
    pub fn append_metrics(&self, line: &impl Serialize) -> Result<()> {
        let path = self.metrics();
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        Ok(written.map_err(|reason| unwritable(&path, reason))?)
    }

    /// Drops lines of `metrics.jsonl` after `step`: a killed run may have logged steps that the
    /// checkpoint it resumes from does not hold. A last line that was cut short goes, too.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or written.
    pub fn truncate_metrics(&self, step: u64) -> Result<()> {
        #[derive(Deserialize)]
        struct Line {
            step: u64,
        }
        let path = self.metrics();
        let lines = match fs::read(&path) {
            Ok(lines) => lines,
            Err(error) if error.kind() == NotFound => return Ok(()),
            Err(reason) => return Err(duomo_data::Error::Read { path, reason }.into()),
        };
        // Bytes, not text: a line may have been cut short inside a character, or before its end alone.
        let kept = lines
            .split(|&byte| byte == b'\n')
            .filter(|line| serde_json::from_slice::<Line>(line).is_ok_and(|line| line.step <= step))
            .flat_map(|line| [line, b"\n"])
            .collect::<Vec<_>>();
        Ok(atomic_write(&path, &kept.concat())?)
    }
}

/// A refusal to write as the error that names path, cause and remedy.
pub(crate) fn unwritable(path: &Path, reason: io::Error) -> duomo_data::Error {
    duomo_data::Error::Write { path: path.to_owned(), reason }
}

/// Names keys whose values differ between what a folder holds and what was asked for.
fn differences(found: &str, asked: &str, path: &Path) -> String {
    const NAMED: usize = 3;
    let (Ok(found), Ok(asked)) = (found.parse(), asked.parse()) else {
        return format!("{} is damaged", path.display());
    };
    let [found, asked] = [found, asked].map(|table| {
        let mut keys = BTreeMap::new();
        flatten("", &toml::Value::Table(table), &mut keys);
        keys
    });
    let keys: BTreeSet<_> = found.keys().chain(asked.keys()).collect();
    let value = |keys: &BTreeMap<String, String>, key| {
        keys.get(key).map_or_else(|| "absent".to_owned(), Clone::clone)
    };
    let mut differing: Vec<String> = keys
        .into_iter()
        .filter(|key| found.get(*key) != asked.get(*key))
        .map(|key| format!("{key} is {} there, {} here", value(&found, key), value(&asked, key)))
        .collect();
    let more = differing.len().saturating_sub(NAMED);
    differing.truncate(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("in {}: {}{more}", path.display(), differing.join("; "))
}

/// Every value below a TOML value, by its dotted key.
fn flatten(prefix: &str, value: &toml::Value, keys: &mut BTreeMap<String, String>) {
    let below = |key: &str| if prefix.is_empty() { key.into() } else { format!("{prefix}.{key}") };
    match value {
        toml::Value::Table(table) => {
            table.iter().for_each(|(key, value)| flatten(&below(key), value, keys));
        }
        toml::Value::Array(values) if values.iter().any(toml::Value::is_table) => {
            let places = values.iter().enumerate();
            places.for_each(|(place, value)| flatten(&below(&place.to_string()), value, keys));
        }
        _ => {
            keys.insert(prefix.to_owned(), value.to_string());
        }
    }
}

/// The experiment as TOML, every key resolved.
pub(crate) fn resolved(experiment: &Experiment) -> Result<String> {
    toml::to_string_pretty(experiment).context("cannot write the experiment as TOML")
}

#[cfg(test)]
mod tests;
