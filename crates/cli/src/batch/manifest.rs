//! The manifest of a folder of predictions: one line of JSON for every case that was tried.
//!
//! A line is written after its label map is on the disk under its final name. So whenever the process is
//! killed, a case has its line and a whole label map, or it has no line and will be done again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use duomo_train::{HeartFigure, StructureVolume};
use serde::{Deserialize, Serialize};

use super::{FileRecord, Recipe};
use crate::console;
use crate::exit::Fault;

/// Name of the manifest in the folder of predictions.
pub(crate) const FILE_NAME: &str = "manifest.jsonl";

/// What `schema` says in every line.
const SCHEMA: &str = "duomo.prediction/1";

/// How often a lock is tried for before another process is taken to hold it, and how long after each.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// What became of one case; a line of the manifest.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Entry {
    /// Always `duomo.prediction/1`.
    pub schema: String,
    /// Name of the case.
    pub case: String,
    /// What became of it.
    pub status: Status,
    /// The image, as it was given.
    pub input: PathBuf,
    /// The same without links and from the root: only there do size and time tell whether it has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_path: Option<PathBuf>,
    /// What the image was; none if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_file: Option<FileRecord>,
    /// The label map, below the manifest's folder.
    pub output: PathBuf,
    /// What the label map was when it was written. Of a case that failed: the file in its place that is not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_file: Option<FileRecord>,
    /// Probabilities of each class, the background first, if they were wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probability_files: Vec<SideFile>,
    /// How the label map was made.
    pub recipe: Recipe,
    /// Time that each stage took.
    pub seconds: Seconds,
    /// Volume of each structure, in the order of the model's classes.
    #[serde(default)]
    pub structures: Vec<StructureVolume>,
    /// Figures that clinicians use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heart: Vec<HeartFigure>,
    /// What was odd about the image.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a case.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// Its label map was written.
    Done,
    /// It has none; the error says why.
    Failed,
}

/// A file beside the label map.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct SideFile {
    /// Where it is, below the manifest's folder.
    pub file: PathBuf,
    /// What it was when it was written.
    pub record: FileRecord,
}

impl SideFile {
    /// Whether it is as it was, `folder` being the manifest's.
    pub(crate) fn is_whole(&self, folder: &Path) -> bool {
        self.record.is_whole(&folder.join(&self.file))
    }
}

/// How long the stages of a case took.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Seconds {
    /// Reading the image.
    pub read: f64,
    /// Finding the crop and segmenting it.
    pub infer: f64,
    /// Writing what came out.
    pub write: f64,
}

impl Entry {
    /// An entry about which nothing is known but its names.
    pub(crate) fn begin(case: &str, input: &Path, output: &Path, recipe: &Recipe) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            case: case.to_owned(),
            status: Status::Failed,
            input: input.to_owned(),
            input_path: input.canonicalize().ok(),
            input_file: None,
            output: output.to_owned(),
            output_file: None,
            probability_files: Vec::new(),
            recipe: recipe.clone(),
            seconds: Seconds::default(),
            structures: Vec::new(),
            heart: Vec::new(),
            warnings: Vec::new(),
            error: None,
        }
    }

    /// Whether every file that was written for the case is as it was, `folder` being the manifest's.
    pub(crate) fn is_whole(&self, folder: &Path) -> bool {
        let label_map = folder.join(&self.output);
        self.output_file.as_ref().is_some_and(|record| record.is_whole(&label_map))
            && self.probability_files.iter().all(|side| side.is_whole(folder))
    }
}

/// The manifests in a folder of predictions, in no order.
///
/// # Errors
///
/// If the folder cannot be listed.
pub(crate) fn manifests_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    paths.filter(|path| path.as_ref().map_or(true, |path| is_manifest(path))).collect()
}

/// Whether a file has the name of a manifest, a shard's or that of all.
pub(crate) fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let rest = name.strip_prefix(FILE_NAME.trim_end_matches("jsonl"));
    rest.is_some_and(|rest| rest.split('.').next_back() == Some("jsonl"))
}

/// What a manifest says.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The newest entry of every case.
    pub entries: BTreeMap<String, Entry>,
    /// BLAKE3 of everything that was ever written under a label map's name, by older entries too.
    pub written: BTreeMap<PathBuf, BTreeSet<String>>,
    /// Lines that are no entry.
    pub foreign_lines: usize,
    /// Bytes up to the last whole line.
    whole_bytes: usize,
    /// Bytes of a last line that was cut short.
    torn_bytes: usize,
}

impl Listing {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)
            .map_err(|error| Fault::Data(format!("cannot read {}: {error}", path.display())))?;
        Ok(Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> Self {
        let whole_bytes = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn_bytes = bytes.len() - whole_bytes;
        let mut listing = Self { whole_bytes, torn_bytes, ..Self::default() };
        for line in bytes[..whole_bytes].split_inclusive(|&byte| byte == b'\n') {
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) if entry.schema == SCHEMA => {
                    if let (Status::Done, Some(record)) = (entry.status, &entry.output_file) {
                        let written = listing.written.entry(entry.output.clone()).or_default();
                        written.insert(record.blake3.clone());
                    }
                    listing.entries.insert(entry.case.clone(), entry);
                }
                _ => listing.foreign_lines += 1,
            }
        }
        listing
    }
}

/// A manifest that this process alone adds lines to.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    file: File,
}

/// Whether another process has locked the file.
///
/// Some network file systems know no locks; two processes on one folder are rare enough. A program that is
/// being started holds for a moment what is open where it is started, so that one refusal proves nothing.
fn is_taken(file: &File) -> bool {
    (0..ATTEMPTS).all(|attempt| {
        if attempt > 0 {
            thread::sleep(PAUSE);
        }
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    })
}

impl Manifest {
    /// Opens or begins a manifest, takes a last line that was cut short away, and returns what is there.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written, or another process has it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Listing)> {
        let cannot = |reason| console::unwritable(path, reason);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(path).map_err(cannot)?;
        if is_taken(&file) {
            bail!(
                "another process writes {}; wait for it, or give each its --shard I/N",
                path.display()
            );
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(cannot)?;
        let listing = Listing::parse(&bytes);
        if listing.torn_bytes > 0 {
            file.set_len(listing.whole_bytes as u64).map_err(cannot)?;
            console::note(&format!(
                "{}: the last line was cut short and is taken away; its case is done again",
                path.display()
            ));
        }
        if listing.foreign_lines > 0 {
            console::warn(&format!(
                "{}: {} lines are no entries of this version and count for nothing",
                path.display(),
                listing.foreign_lines
            ));
        }
        Ok((Self { path: path.to_owned(), file }, listing))
    }

    /// Adds a line and waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// If the disk is full, or the folder gone.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<()> {
        let line = serde_json::to_string(entry)? + "\n";
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|reason| console::unwritable(&self.path, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(case: &str, status: Status) -> Entry {
        let recipe = Recipe::example("LGE");
        let path = PathBuf::from(format!("{case}.nii.gz"));
        Entry { status, ..Entry::begin(case, &path, &path, &recipe) }
    }

    #[test]
    fn the_newest_line_of_a_case_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let (mut manifest, before) = Manifest::open(&path).unwrap();
        assert!(before.entries.is_empty());

        for (case, status) in [("a", Status::Failed), ("b", Status::Done), ("a", Status::Done)] {
            manifest.append(&entry(case, status)).unwrap();
        }

        let listing = Listing::read(&path).unwrap();
        assert_eq!(listing.entries["a"], entry("a", Status::Done));
        assert_eq!(listing.entries.len(), 2);
    }

    #[test]
    fn a_manifest_cut_at_any_byte_keeps_its_whole_lines_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let lines = ["a", "b"]
            .map(|case| serde_json::to_string(&entry(case, Status::Done)).unwrap() + "\n");
        let text = lines.concat();
        for cut in 0..=text.len() {
            fs::write(&path, &text[..cut]).unwrap();

            let (mut manifest, listing) = Manifest::open(&path).unwrap();
            manifest.append(&entry("c", Status::Done)).unwrap();

            let whole = [lines[0].len(), text.len()].into_iter().filter(|&end| end <= cut).count();
            assert_eq!(listing.entries.len(), whole, "cut at {cut}");
            let healed = Listing::read(&path).unwrap();
            assert_eq!(healed.entries.len(), whole + 1, "cut at {cut}");
            assert_eq!(healed.foreign_lines, 0);
        }
    }

    #[test]
    fn lines_of_another_kind_count_for_nothing() {
        let whole = serde_json::to_string(&entry("a", Status::Done)).unwrap();
        let other = whole.replace(SCHEMA, "duomo.prediction/0");

        let listing = Listing::parse(format!("{{}}\n\0\0\n{other}\n{whole}\n").as_bytes());

        assert_eq!((listing.entries.len(), listing.foreign_lines), (1, 3));
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let _first = Manifest::open(&path).unwrap();

        let error = Manifest::open(&path).unwrap_err();

        assert!(error.to_string().contains("another process"), "{error:#}");
    }
}
