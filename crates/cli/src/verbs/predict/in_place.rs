//! What already lies where a case's files go: ours, to be replaced or removed, or somebody's work.
//!
//! Label maps are renamed into place whole. So one that no manifest of the folder says was written so is an
//! edit or somebody else's, unless its process was killed before it could write the line: then it
//! holds what the same image and recipe give again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use duomo_data::{Geometry, read_labels};

use super::case::{Job, Outputs};
use crate::batch::{Entry, FileRecord, Status};

/// Whether the image is the one that an earlier process read.
pub(super) fn same_input(job: &Job, before: &Entry) -> bool {
    let place = job.input.canonicalize().ok();
    match &before.input_file {
        Some(file) if place.is_some() && place == before.input_path => {
            file.is_unchanged(&job.input)
        }
        Some(file) => file.is_whole(&job.input),
        None => before.input == job.input && !job.input.exists(),
    }
}

/// Whether a label map holds these values, in this place.
pub(super) fn holds(path: &Path, geometry: &Geometry, values: &[u16]) -> bool {
    let Ok(found) = read_labels(path) else { return false };
    let entries = |geometry: &Geometry| geometry.affine.into_iter().flatten();
    // NIfTI-2 places voxels in f64, a written label map in f32.
    let same_place = entries(&found.geometry)
        .zip(entries(geometry))
        .all(|(found, expected)| (found - expected).abs() <= 1e-3);
    found.geometry.shape == geometry.shape && same_place && found.values.to_vec() == values
}

impl Outputs {
    /// Keeps a file in a label map's place that nobody here has written and that is not `as_expected`.
    ///
    /// # Errors
    ///
    /// There is such a file; `entry` then knows it, and the probabilities that belonged to the label map before.
    pub(super) fn refuse_foreign(
        &self,
        job: &Job,
        entry: &mut Entry,
        as_expected: impl FnOnce(&Path) -> bool,
    ) -> Result<()> {
        let path = self.folder.join(&job.output);
        if self.replace_foreign || path.is_dir() {
            return Ok(());
        }
        let found = match FileRecord::of(&path) {
            Ok(found) if job.written.contains(&found.blake3) || as_expected(&path) => return Ok(()),
            // Nobody edits a label map into something that is none: the disk did.
            Ok(_) if !job.written.is_empty() && read_labels(&path).is_err() => return Ok(()),
            Ok(found) => found,
            Err(error) if is_absence(&error) => return Ok(()),
            // It concerns this file alone, so it must not look like a folder that cannot be written to.
            Err(error) => {
                return Err(anyhow!("cannot read {} before replacing it: {error}", path.display()));
            }
        };
        entry.output_file = Some(found);
        if let Some(before) = job.before() {
            entry.probability_files.clone_from(&before.probability_files);
        }
        let what = if job.written.is_empty() {
            "is there, and no manifest beside it says that duomo wrote it"
        } else {
            "was changed after duomo wrote it"
        };
        bail!(
            "{} {what}; it stays as it is: move it away to have it made anew, or --overwrite replaces it",
            path.display()
        )
    }

    /// Keeps the probabilities of an earlier call that asked for them, if this one, which did not, would write the same.
    pub(super) fn keep_probabilities(&self, job: &Job, entry: &mut Entry) {
        let digest = |entry: &Entry| entry.input_file.as_ref().map(|file| file.blake3.clone());
        if let Some(before) = job.before()
            && before.output == entry.output
            && before.recipe.has_probabilities_of(&entry.recipe)
            && digest(before) == digest(entry)
            && before.probability_files.iter().all(|side| side.is_whole(&self.folder))
        {
            entry.probability_files.clone_from(&before.probability_files);
        }
    }

    /// Removes the probabilities of an earlier label map in this one's place.
    ///
    /// # Errors
    ///
    /// A file that cannot be removed.
    pub(super) fn remove_older_probabilities(&self, job: &Job, entry: &Entry) -> Result<()> {
        let before = job.before().filter(|before| before.output == entry.output);
        for side in before.into_iter().flat_map(|before| &before.probability_files) {
            if entry.probability_files.iter().all(|newer| newer.file != side.file) {
                remove(&self.folder.join(&side.file))?;
            }
        }
        Ok(())
    }

    /// Where a case's picture goes, if pictures are wanted.
    pub(super) fn picture(&self, case: &str) -> Option<PathBuf> {
        self.pictures.as_ref().map(|folder| folder.join(format!("{case}.png")))
    }

    /// Removes what must not pass for the result of a case that failed: its label map of another time, unless
    /// somebody has changed it, and probabilities.
    ///
    /// # Errors
    ///
    /// A file that cannot be removed.
    pub(super) fn remove_stale(&self, job: &Job, entry: &Entry) -> Result<()> {
        let before = job.before();
        let sides = before.into_iter().chain([entry]).flat_map(|entry| &entry.probability_files);
        for side in sides {
            remove(&self.folder.join(&side.file))?;
        }
        if let Some(before) = before.filter(|before| before.status == Status::Done) {
            let path = self.folder.join(&before.output);
            if before.output_file.as_ref().is_some_and(|record| record.is_whole(&path)) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Whether there is no such file, or there cannot be one because its name is too long.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        // A folder in its place passes for nothing.
        Err(error) if !is_absence(&error) && !path.is_dir() => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
