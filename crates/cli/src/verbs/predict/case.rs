//! One case, from its image to its label map, in three stages.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use duomo_data::{
    Case, Image, PreparedCase, make_folder, read_image, write_image, write_labels,
    write_unit_interval,
};
use duomo_train::{
    Ensemble, Segmenter as _, heart_figures, segment_automatically, segment_with_probabilities,
    structure_volumes, voxel_mm3,
};

use super::in_place::{holds, same_input};
use super::naming::Naming;
use crate::batch::{Entry, FileRecord, Precision, Recipe, SideFile, Status};
use crate::console;
use crate::pictures::{CaseView, Row, Volumes, png, reversed_axes, sheet, telling_slice};

/// An image and where its label map goes.
#[derive(Debug)]
pub(super) struct Job {
    /// Name of the case.
    pub case: String,
    /// The image.
    pub input: PathBuf,
    /// The label map, below the folder of predictions.
    pub output: PathBuf,
    /// What an earlier process says about the case.
    pub earlier: Option<Earlier>,
    /// BLAKE3 of everything that earlier processes say they have written there.
    pub written: BTreeSet<String>,
}

/// What an earlier process says about a case.
#[derive(Debug)]
pub(super) enum Earlier {
    /// By this recipe, so it counts while image and files are as they were.
    Counts(Box<Entry>),
    /// By another recipe, or it is to be done again: what it made must not stay.
    Stale(Box<Entry>),
}

/// What is the same for every case.
#[derive(Debug)]
pub(super) struct Work {
    /// The model or models.
    pub model: Ensemble,
    /// Index of the modality in it.
    pub modality: usize,
    /// How label maps are made, for the manifest.
    pub recipe: Recipe,
    /// Where they go.
    pub outputs: Outputs,
}

/// Where results go.
#[derive(Debug)]
pub(super) struct Outputs {
    /// Label maps.
    pub folder: PathBuf,
    /// What they are called.
    pub naming: Naming,
    /// Pictures, if they are wanted.
    pub pictures: Option<PathBuf>,
    /// Whether a file in a label map's place is replaced that nobody here has written.
    pub replace_foreign: bool,
}

/// A case on its way, with what one stage hands to the next.
pub(super) enum Item<T> {
    /// Nothing is left to do: an earlier process did it, or a stage failed.
    Over(Box<Ended>),
    /// To be worked on.
    Open(Box<Entry>, T),
}

/// What became of a case in this process.
pub(super) enum Ended {
    /// It was worked on.
    Tried(Entry),
    /// An earlier process has done it, or has failed to.
    Known(Entry),
}

/// An image and its classes.
pub(super) struct Segmented {
    image: Image,
    classes: Vec<u8>,
}

impl Job {
    /// What an earlier process says about the case, whether it counts or not.
    pub(super) fn before(&self) -> Option<&Entry> {
        let Some(Earlier::Counts(entry) | Earlier::Stale(entry)) = &self.earlier else {
            return None;
        };
        Some(entry)
    }
}

impl<T> Item<T> {
    /// Works on an open case; an error or a panic is recorded and ends it.
    ///
    /// # Errors
    ///
    /// A folder that cannot be written to, or a full disk: no other case would fare better.
    fn then<U>(self, work: impl FnOnce(&mut Entry, T) -> Result<U>) -> Result<Item<U>> {
        let (mut entry, given) = match self {
            Self::Over(ended) => return Ok(Item::Over(ended)),
            Self::Open(entry, given) => (entry, given),
        };
        match guarded(|| work(&mut entry, given)) {
            Ok(result) => Ok(Item::Open(entry, result)),
            Err(error) if cannot_write(&error) => Err(error),
            Err(error) => {
                entry.error = Some(format!("{error:#}"));
                Ok(Item::Over(Box::new(Ended::Tried(*entry))))
            }
        }
    }
}

impl Work {
    /// Reads the image, unless an earlier process has done with it.
    ///
    /// # Errors
    ///
    /// Those of [`Item::then`], as for the other two stages.
    pub(super) fn read(&self, job: &Job) -> Result<Item<Image>> {
        let before = match &job.earlier {
            Some(Earlier::Counts(before)) if same_input(job, before) => Some(before),
            _ => None,
        };
        if let Some(before) = before.filter(|before| self.still_holds(job, before)) {
            return Ok(Item::Over(Box::new(Ended::Known((**before).clone()))));
        }
        let entry = Entry::begin(&job.case, &job.input, &job.output, &self.recipe);
        Item::Open(Box::new(entry), ()).then(|entry, ()| {
            let start = Instant::now();
            // Also of a file that turns out to be faulty: it is tried again once it has changed.
            entry.input_file = FileRecord::of(&job.input).ok();
            if before.is_some_and(|before| before.status == Status::Done) {
                // What would be written is known, and a file that is not that is no work of ours.
                self.outputs.refuse_foreign(job, entry, |_| false)?;
            }
            let image = read_image(&job.input)?;
            entry.seconds.read = start.elapsed().as_secs_f64();
            Ok(image)
        })
    }

    /// Whether what was found out about a case would be found out again.
    fn still_holds(&self, job: &Job, before: &Entry) -> bool {
        match before.status {
            Status::Done => {
                before.is_whole(&self.outputs.folder)
                    && self.outputs.picture(&job.case).is_none_or(|picture| picture.is_file())
            }
            Status::Failed => {
                let in_place = before.output_file.as_ref();
                in_place
                    .is_none_or(|file| file.is_unchanged(&self.outputs.folder.join(&job.output)))
            }
        }
    }

    /// Segments the image, and writes its probabilities if they are wanted.
    pub(super) fn infer(&self, job: &Job, item: Item<Image>) -> Result<Item<Segmented>> {
        item.then(|entry, mut image| {
            let start = Instant::now();
            let case = Case {
                patient: entry.case.clone(),
                modality: self.modality,
                image: entry.input.clone(),
                labels: None,
            };
            let (prepared, mut classes) =
                segment_automatically(&self.model, &case, &image, self.modality)?;
            let (shape, voxel_mm3) = (image.geometry.shape, voxel_mm3(&image.geometry));
            self.recipe.postprocessing.apply(&mut classes, shape, voxel_mm3);
            self.outputs.refuse_foreign(job, entry, |path| {
                holds(path, &image.geometry, &self.model.card().label_values(&classes))
            })?;
            match self.recipe.probabilities {
                Some(precision) => {
                    self.write_probabilities(entry, &prepared, &image, precision)?;
                }
                None => self.outputs.keep_probabilities(job, entry),
            }
            let labels = &self.model.card().labels;
            entry.warnings = prepared.warnings;
            entry.structures = structure_volumes(labels, &classes, &image.geometry);
            entry.heart = heart_figures(labels, &entry.structures);
            if self.outputs.pictures.is_none() {
                // Only its geometry is still wanted.
                image.voxels = Vec::new();
            }
            entry.seconds.infer = start.elapsed().as_secs_f64();
            Ok(Segmented { image, classes })
        })
    }

    /// Writes what came out.
    pub(super) fn write(&self, job: &Job, item: Item<Segmented>) -> Result<Ended> {
        let item = item.then(|entry, segmented| {
            let start = Instant::now();
            self.write_case(entry, &segmented)?;
            entry.seconds.write = start.elapsed().as_secs_f64();
            Ok(())
        })?;
        match item {
            Item::Open(mut entry, ()) => {
                entry.status = Status::Done;
                self.outputs.remove_older_probabilities(job, &entry)?;
                Ok(Ended::Tried(*entry))
            }
            Item::Over(ended) => {
                if let Ended::Tried(entry) = &*ended
                    && entry.output_file.is_none()
                {
                    self.outputs.remove_stale(job, entry)?;
                }
                Ok(*ended)
            }
        }
    }

    fn write_case(&self, entry: &mut Entry, segmented: &Segmented) -> Result<()> {
        let Segmented { image, classes } = segmented;
        if let Some(picture) = self.outputs.picture(&entry.case) {
            self.draw(&entry.case, segmented, &picture)?;
        }
        let path = self.place(&entry.output)?;
        write_labels(&path, &image.geometry, &self.model.card().label_values(classes))?;
        entry.output_file = Some(record(&path)?);
        Ok(())
    }

    /// Writes the probabilities of each class while the case is in the network's stage, so that only one
    /// case's are ever in memory.
    fn write_probabilities(
        &self,
        entry: &mut Entry,
        prepared: &PreparedCase,
        image: &Image,
        precision: Precision,
    ) -> Result<()> {
        let (_, probabilities) = segment_with_probabilities(&self.model, prepared, self.modality)?;
        let labels = self.model.card().labels.iter().map(|label| &label.name[..]);
        let names: Vec<&str> = std::iter::once("background").chain(labels).collect();
        for class in 0..names.len() {
            let file = self.outputs.naming.probabilities(&entry.case, class, &names);
            let path = self.place(&file)?;
            let values = probabilities.of_class(class);
            match precision {
                Precision::U8 => write_unit_interval(&path, &image.geometry, &values)?,
                Precision::F32 => write_image(&path, &image.geometry, &values)?,
            }
            entry.probability_files.push(SideFile { file, record: record(&path)? });
        }
        Ok(())
    }

    /// Where a file of the folder lies; its own folder is made.
    fn place(&self, file: &Path) -> Result<PathBuf> {
        let path = self.outputs.folder.join(file);
        if let Some(folder) = path.parent().filter(|_| file.components().count() > 1) {
            make_folder(folder)?;
        }
        Ok(path)
    }

    fn draw(&self, case: &str, segmented: &Segmented, path: &Path) -> Result<()> {
        let Segmented { image, classes } = segmented;
        let volumes = Volumes {
            shape: image.geometry.shape,
            spacing_mm: image.geometry.spacing_mm,
            reversed: reversed_axes(&image.geometry.affine),
            image: Some(&image.voxels),
            reference: None,
            prediction: classes,
        };
        let slice = telling_slice(&volumes);
        let caption = format!("{case}  slice {} of {}", slice + 1, volumes.shape[0]);
        let row = Row::draw(&CaseView { caption, score: String::new(), volumes, slice });
        let names: Vec<String> =
            self.model.card().labels.iter().map(|label| label.name.clone()).collect();
        console::write_file(path, &png(&sheet(&[row], &names))?)
    }
}

/// A panic becomes an error: one case's fault must not end the batch.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        Err(anyhow!("a fault in the program, please report it: {text}"))
    })
}

/// Whether the disk or the folder is to blame, not the case.
fn cannot_write(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| match cause.downcast_ref() {
        Some(duomo_data::Error::Write { reason, .. }) => !concerns_one_name(reason),
        _ => cause.is::<io::Error>(),
    })
}

/// Whether another name may be written to all the same.
fn concerns_one_name(reason: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, InvalidFilename, IsADirectory};
    matches!(reason.kind(), FileTooLarge | InvalidFilename | IsADirectory)
}

fn record(path: &Path) -> Result<FileRecord> {
    FileRecord::of(path).with_context(|| format!("cannot read {} again", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_its_case_and_no_other() {
        let recipe = Recipe::example("LGE");
        let path = Path::new("a.nii.gz");
        let item = || Item::Open(Box::new(Entry::begin("a", path, path, &recipe)), 3);

        let failed = item().then(|_, number| -> Result<i32> { panic!("no case {number}") });
        let done = item().then(|_, number| Ok(number + 1));

        let Ok(Item::Over(ended)) = failed else { panic!("the case goes on") };
        let Ended::Tried(entry) = *ended else { panic!("the case was not tried") };
        assert_eq!(entry.status, Status::Failed);
        assert!(entry.error.unwrap().ends_with("please report it: no case 3"));
        assert!(matches!(done, Ok(Item::Open(_, 4))));
    }

    #[test]
    fn a_full_disk_ends_the_batch_and_a_faulty_file_does_not() {
        let recipe = Recipe::example("LGE");
        let path = Path::new("a.nii.gz");
        let failing = |error: duomo_data::Error| {
            let item = Item::Open(Box::new(Entry::begin("a", path, path, &recipe)), ());
            item.then(|_, ()| -> Result<()> { Err(error.into()) })
        };
        let write = |reason: io::ErrorKind| {
            failing(duomo_data::Error::Write { path: path.into(), reason: reason.into() })
        };

        assert!(write(io::ErrorKind::StorageFull).is_err());
        assert!(write(io::ErrorKind::ReadOnlyFilesystem).is_err());
        assert!(write(io::ErrorKind::IsADirectory).is_ok(), "only this name is taken");
        let reason = io::Error::from(io::ErrorKind::StorageFull);
        assert!(failing(duomo_data::Error::Read { path: path.into(), reason }).is_ok());
    }
}
