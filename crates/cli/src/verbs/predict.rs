//! `duomo predict`: images in, label maps out.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use duomo_data::{Case, read_image, write_labels};
use duomo_train::{Model, segment_automatically};
use serde::Serialize;

use super::device;
use crate::console;
use crate::exit::{Fault, Outcome, usage};
use crate::pictures::{CaseView, Row, Volumes, png, reversed_axes, sheet, telling_slice};
use crate::scores::stem;
use crate::table::{Align, Table};

/// Arguments of `duomo predict`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Model file from a run folder.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Modality of the images, by the name it was trained under.
    #[arg(long, value_name = "NAME")]
    modality: String,
    /// NIfTI images, or folders of them.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Folder for the label maps, named like their images, and for manifest.jsonl.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also write a picture of each case into this folder.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Segment images again whose label maps are there.
    #[arg(long)]
    overwrite: bool,
    /// Where to compute.
    #[arg(long, value_name = "cpu|cuda[:i]", default_value = "cpu", value_parser = device)]
    device: String,
    /// Print JSON: the manifest's entries of this call.
    #[arg(long)]
    json: bool,
}

/// Segments every image. A faulty one is listed and the others are done.
///
/// # Errors
///
/// A model that cannot be read, a modality that it does not know, or inputs of the same name.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let jobs = jobs(&arguments.inputs, &arguments.out)?;
    let model = Model::load(&arguments.model, &duomo_train::Device::Cpu)?;
    let modality = model.modality(&arguments.modality).map_err(|error| usage(&error))?;
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot make folder {}", arguments.out.display()))?;
    let mut entries = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        let entry = entry(arguments, &model, modality, job);
        console::note(&format!("{}/{}  {}", at + 1, jobs.len(), entry.sentence()));
        append(&arguments.out.join("manifest.jsonl"), &entry)?;
        entries.push(entry);
    }
    if arguments.json {
        console::print_json(&entries, "-")?;
    } else {
        console::print(&table(&entries).aligned())?;
    }
    let failed = entries.iter().any(|entry| entry.error.is_some());
    Ok(if failed { Outcome::SomeFailed } else { Outcome::Done })
}

/// An image and where its label map goes.
#[derive(Debug, PartialEq)]
struct Job {
    case: String,
    input: PathBuf,
    output: PathBuf,
}

/// What became of one image; a line of the manifest.
#[derive(Debug, Serialize)]
struct Entry {
    case: String,
    input: PathBuf,
    output: PathBuf,
    modality: String,
    model: PathBuf,
    /// `done`, `skipped` or `failed`.
    status: &'static str,
    seconds: f64,
    /// Voxels of each class.
    voxels: BTreeMap<String, usize>,
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Entry {
    fn sentence(&self) -> String {
        match &self.error {
            Some(error) => format!("{}: failed: {error}", self.case),
            None if self.status == "skipped" => format!("{}: skipped, already done", self.case),
            None => format!("{}: {:.1} s", self.case, self.seconds),
        }
    }
}

/// Every image among the inputs, with folders replaced by the NIfTI files in them.
fn jobs(inputs: &[PathBuf], out: &Path) -> Result<Vec<Job>> {
    let mut files = Vec::new();
    for input in inputs {
        if input.is_dir() {
            let entries =
                fs::read_dir(input).with_context(|| format!("cannot list {}", input.display()))?;
            let mut found =
                entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
            found.retain(|path| stem(path).is_some_and(|stem| !stem.starts_with('.')));
            found.sort();
            files.extend(found);
        } else {
            files.push(input.clone());
        }
    }
    if files.is_empty() {
        return Err(Fault::Data("the inputs hold no NIfTI file (.nii.gz, .nii)".into()).into());
    }
    let mut jobs = BTreeMap::new();
    for input in files {
        let case = stem(&input).ok_or_else(|| {
            Fault::Usage(format!("{} is no NIfTI file (.nii.gz, .nii)", input.display()))
        })?;
        let output = out.join(format!("{case}.nii.gz"));
        let job = Job { case: case.clone(), input, output };
        if let Some(Job { input, .. }) = jobs.insert(case, job) {
            return Err(Fault::Usage(format!(
                "two inputs are called like {}; predict them into two folders",
                input.display()
            ))
            .into());
        }
    }
    Ok(jobs.into_values().collect())
}

fn entry(arguments: &Arguments, model: &Model, modality: usize, job: &Job) -> Entry {
    let mut entry = Entry {
        case: job.case.clone(),
        input: job.input.clone(),
        output: job.output.clone(),
        modality: model.card.modalities[modality].clone(),
        model: arguments.model.clone(),
        status: "skipped",
        seconds: 0.0,
        voxels: BTreeMap::new(),
        warnings: Vec::new(),
        error: None,
    };
    if job.output.exists() && !arguments.overwrite {
        return entry;
    }
    let start = Instant::now();
    match predict(arguments, model, modality, job) {
        Ok((voxels, warnings)) => {
            entry.status = "done";
            entry.voxels = voxels;
            entry.warnings = warnings;
        }
        Err(error) => {
            entry.status = "failed";
            entry.error = Some(format!("{error:#}"));
        }
    }
    entry.seconds = start.elapsed().as_secs_f64();
    entry
}

/// Segments one image, writes its label map and returns the voxels of each class and warnings.
fn predict(
    arguments: &Arguments,
    model: &Model,
    modality: usize,
    job: &Job,
) -> Result<(BTreeMap<String, usize>, Vec<String>)> {
    let image = read_image(&job.input)?;
    let case = Case { patient: job.case.clone(), modality, image: job.input.clone(), labels: None };
    let (prepared, classes) = segment_automatically(model, &case, &image, modality)?;
    write_labels(&job.output, &image.geometry, &model.card.label_values(&classes))?;
    let names: Vec<String> = model.card.labels.iter().map(|label| label.name.clone()).collect();
    if let Some(folder) = &arguments.pictures {
        let volumes = Volumes {
            shape: image.geometry.shape,
            spacing_mm: image.geometry.spacing_mm,
            reversed: reversed_axes(&image.geometry.affine),
            image: Some(&image.voxels),
            reference: None,
            prediction: &classes,
        };
        let slice = telling_slice(&volumes);
        let caption = format!("{}  slice {} of {}", job.case, slice + 1, volumes.shape[0]);
        let row = Row::draw(&CaseView { caption, score: String::new(), volumes, slice });
        let picture = png(&sheet(&[row], &names))?;
        console::write_file(&folder.join(format!("{}.png", job.case)), &picture)?;
    }
    let mut voxels = [0; 256];
    for &class in &classes {
        voxels[usize::from(class)] += 1;
    }
    Ok((names.into_iter().zip(voxels.into_iter().skip(1)).collect(), prepared.warnings))
}

/// Adds a line; earlier calls' lines stay.
fn append(path: &Path, entry: &Entry) -> Result<()> {
    let line = serde_json::to_string(entry)? + "\n";
    let open = OpenOptions::new().create(true).append(true).open(path);
    open.and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn table(entries: &[Entry]) -> Table {
    let mut table =
        Table::new(&[("case", Align::Left), ("status", Align::Left), ("label map", Align::Left)]);
    for entry in entries {
        let status = entry.status.to_owned();
        table.push([entry.case.clone(), status, entry.output.display().to_string()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_replaced_by_their_images() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.nii.gz", "a.nii", "notes.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }

        let jobs = jobs(&[folder.path().to_owned()], Path::new("out")).unwrap();

        let outputs: Vec<_> = jobs.iter().map(|job| job.output.display().to_string()).collect();
        assert_eq!(outputs, ["out/a.nii.gz", "out/b.nii.gz"]);
    }

    #[test]
    fn two_inputs_of_one_name_are_refused() {
        let inputs = ["x/a.nii.gz", "y/a.nii"].map(PathBuf::from);

        let error = jobs(&inputs, Path::new("out")).unwrap_err();

        assert!(error.to_string().contains("two inputs are called like"), "{error}");
        assert_eq!(crate::exit::code_of(&error), 2);
    }
}
