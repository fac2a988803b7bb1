//! `duomo predict`: images in, label maps out.
//!
//! A batch may be killed at any moment and started again: see [`crate::batch`] for what a finished
//! case is, [`pipeline`] for what is in memory at once.

mod case;
mod in_place;
mod naming;
mod pipeline;
mod tally;
mod volumes_csv;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use duomo_data::make_folder;
use duomo_train::{CommonRules, Ensemble, Mirroring, Model, PostProcessing, Segmenter as _};

use super::device::DeviceArguments;
use crate::batch::{
    FILE_NAME, FileRecord, Input, Listing, Manifest, ModelFile, Precision, Recipe, Shard, Status,
    collect, manifests_in,
};
use crate::console;
use crate::exit::{Fault, Outcome, usage};
use crate::signals;
use case::{Earlier, Job, Outputs, Work};
use naming::Naming;
use tally::Tally;

/// Arguments of `duomo predict`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(after_long_help = pipeline::MEMORY_HELP)]
pub(crate) struct Arguments {
    /// Model file from a run folder.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Further models: the mean of all models' probabilities decides. May be repeated.
    #[arg(long, value_name = "FILE,…", value_delimiter = ',')]
    ensemble: Vec<PathBuf>,
    /// Modality of the images, by the name it was trained under; never guessed.
    #[arg(long, value_name = "NAME")]
    modality: Option<String>,
    /// NIfTI images, folders of them, or quoted patterns such as 'scans/**/*_LGE.nii.gz'.
    #[arg(required_unless_present = "list", value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Text file with an input on each line (# begins a comment); - is standard input.
    #[arg(long, value_name = "FILE")]
    list: Vec<PathBuf>,
    /// Folder for the label maps, named like their images, and for manifest.jsonl.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Do only share I of N, counted from 0; a case's share follows from its name.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Show each slice mirrored in its plane, too (test-time augmentation): four times the work.
    #[arg(long)]
    tta: bool,
    /// What to take away from predictions: what the model has learnt on its validation patients, none,
    /// or rules for every class: foreground, largest, min=MM3, separated by commas.
    #[arg(long, value_name = "model|none|RULES", default_value = "model", value_parser = postprocess)]
    postprocess: PostProcess,
    /// Also write the probabilities of each class, as NIfTI on the image's grid.
    #[arg(
        long, value_name = "u8|f32", num_args = 0..=1, require_equals = true,
        default_missing_value = "u8"
    )]
    probabilities: Option<Precision>,
    /// Name files as a BIDS derivative: sub-X/anat/sub-X_dseg.nii.gz.
    #[arg(long)]
    bids: bool,
    /// Also write every case's volumes, in ml, as one line of this file.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Also write a picture of each case into this folder; a done case without one is segmented again for it.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Segment images again whose label maps are there, and replace also what somebody else put in their places.
    #[arg(long)]
    overwrite: bool,
    /// Try images again that failed before.
    #[arg(long)]
    retry_failed: bool,
    #[command(flatten)]
    device: DeviceArguments,
    /// Print JSON: what became of each case.
    #[arg(long)]
    json: bool,
}

/// What `--postprocess` asks for.
#[derive(Clone, Copy, Debug)]
enum PostProcess {
    /// What the models have learnt, and all of them.
    Learnt,
    /// Nothing.
    Nothing,
    /// These rules for every class.
    Rules(CommonRules),
}

fn postprocess(text: &str) -> Result<PostProcess, String> {
    match text {
        "model" => Ok(PostProcess::Learnt),
        "none" => Ok(PostProcess::Nothing),
        rules => rules.parse().map(PostProcess::Rules),
    }
}

/// Segments every image that has no label map yet. A faulty one is recorded and the others are done.
///
/// # Errors
///
/// A model that cannot be read, a modality that it does not know, inputs of the same name, or a folder
/// that cannot be written to. An interrupted batch is an error, too: what it had done is kept.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let mut inputs = collect(&arguments.inputs, &arguments.list)?;
    if let Some(shard) = arguments.shard {
        let all = inputs.len();
        inputs.retain(|input| shard.holds(&input.case));
        console::note(&format!("share {shard}: {} of {all} cases", inputs.len()));
    }
    let work = work(arguments)?;
    prepare_folder(&arguments.out, &inputs)?;
    work.outputs.naming.describe(&arguments.out, &work.model.card().labels, &work.recipe)?;
    let (mut manifest, listing) =
        Manifest::open(&arguments.out.join(manifest_name(arguments.shard)))?;
    let jobs = jobs(arguments, inputs, &work, listing)?;

    remove_leftovers(&arguments.out, &jobs)?;

    let mut tally = Tally::new(jobs.len(), arguments.json);
    pipeline::run(&jobs, &work, |finished| {
        if let case::Ended::Tried(entry) = &finished {
            manifest.append(entry)?;
        }
        tally.count(finished);
        Ok(())
    })?;
    if let Some(path) = &arguments.csv {
        let names: Vec<&str> = jobs.iter().map(|job| &job.case[..]).collect();
        volumes_csv::write(path, &arguments.out.join(manifest_name(arguments.shard)), &names)?;
    }
    tally.print(&arguments.out)?;
    if tally.seen() < jobs.len() && signals::caught().is_some() {
        return Err(Fault::Interrupted(format!(
            "interrupted after {} of {} cases; the same command goes on from there",
            tally.seen(),
            jobs.len()
        ))
        .into());
    }
    Ok(if tally.failed() > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

/// Shards may share a folder: each has a manifest of its own.
fn manifest_name(shard: Option<Shard>) -> String {
    match shard {
        None => FILE_NAME.to_owned(),
        Some(shard) => format!("manifest.{}.jsonl", shard.to_string().replace('/', "-of-")),
    }
}

/// Reads the models, and everything else that is the same for every case.
fn work(arguments: &Arguments) -> Result<Work> {
    let compute = arguments.device.compute()?;
    let device = compute.open()?;
    let mut models = Vec::new();
    let mut files = Vec::new();
    for path in std::iter::once(&arguments.model).chain(&arguments.ensemble) {
        models.push(Model::load(path, &device)?);
        let record = FileRecord::of(path)
            .with_context(|| format!("cannot read model {}", path.display()))?;
        files.push(ModelFile { file: path.clone(), blake3: record.blake3 });
    }
    let card = &models[0].card;
    let Some(name) = &arguments.modality else {
        let known = card.modalities.join(", ");
        let message = format!("give --modality, of which the model knows {known}");
        return Err(Fault::Usage(message).into());
    };
    let modality = models[0].modality(name).map_err(|error| usage(&error))?;
    let name = card.modalities[modality].clone();
    let mirroring = if arguments.tta { Mirroring::InPlane } else { Mirroring::Off };
    let model = Ensemble::new(models, &name, mirroring).map_err(|error| usage(&error))?;
    if model.passes() > 1 {
        console::note(&format!(
            "{} passes through a network instead of one: about {0} times the time",
            model.passes()
        ));
    }
    let postprocessing = match arguments.postprocess {
        PostProcess::Learnt => model.card().postprocessing.clone(),
        PostProcess::Nothing => PostProcessing::default(),
        PostProcess::Rules(rules) => rules.for_classes(model.card().labels.len()),
    };
    console::note(&format!("post-processing: {}", postprocessing.in_words(&model.card().labels)));
    let recipe = Recipe {
        models: files,
        modality: name,
        tta: arguments.tta,
        postprocessing,
        probabilities: arguments.probabilities,
        arithmetic: compute.arithmetic(),
    };
    let outputs = Outputs {
        folder: arguments.out.clone(),
        naming: if arguments.bids { Naming::Bids } else { Naming::Plain },
        pictures: arguments.pictures.clone(),
        replace_foreign: arguments.overwrite,
    };
    Ok(Work { model, modality, recipe, outputs })
}

/// Makes the folder, which must hold no image: a label map could take an image's name.
fn prepare_folder(out: &Path, inputs: &[Input]) -> Result<()> {
    make_folder(out)?;
    let folder =
        out.canonicalize().with_context(|| format!("cannot find folder {}", out.display()))?;
    let mut seen = BTreeMap::<PathBuf, bool>::new();
    for Input { path, .. } in inputs {
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new(".")).to_owned();
        let same = seen.entry(parent).or_insert_with_key(|parent| {
            parent.canonicalize().is_ok_and(|parent| parent == folder)
        });
        if *same {
            return Err(Fault::Usage(format!(
                "{} lies in --out {}, where its label map could replace it; give another --out",
                path.display(),
                out.display()
            ))
            .into());
        }
    }
    Ok(())
}

/// Every input with what the manifest says about it, if that still counts.
///
/// # Errors
///
/// Two cases whose label maps would have one name.
fn jobs(
    arguments: &Arguments,
    inputs: Vec<Input>,
    work: &Work,
    Listing { mut entries, mut written, .. }: Listing,
) -> Result<Vec<Job>> {
    for manifest in manifests_in(&arguments.out)? {
        // One that cannot be read vouches for no file, so that more of them stay as they are.
        for (output, digests) in Listing::read(&manifest).unwrap_or_default().written {
            written.entry(output).or_default().extend(digests);
        }
    }
    let recipe = work.recipe.digest();
    let mut taken = BTreeMap::<PathBuf, String>::new();
    let (mut jobs, mut by_others) = (Vec::new(), Vec::new());
    for Input { case, path } in inputs {
        work.outputs.naming.check(&case)?;
        let output = work.outputs.naming.label_map(&case);
        if let Some(other) = taken.insert(output.clone(), case.clone()) {
            return Err(Fault::Usage(format!(
                "the label maps of {other} and {case} would both be called {}; predict them into \
                 two folders",
                output.display()
            ))
            .into());
        }
        let earlier = entries.remove(&case).map(|entry| {
            let wanted_again = match entry.status {
                Status::Done => arguments.overwrite,
                Status::Failed => arguments.retry_failed || arguments.overwrite,
            };
            let by_this_recipe = entry.recipe.digest() == recipe;
            if !by_this_recipe && !wanted_again && entry.status == Status::Done {
                by_others.push(work.recipe.differences(&entry.recipe));
            }
            if by_this_recipe && !wanted_again && entry.output == output {
                Earlier::Counts(Box::new(entry))
            } else {
                Earlier::Stale(Box::new(entry))
            }
        });
        let written = written.remove(&output).unwrap_or_default();
        jobs.push(Job { case, input: path, output, earlier, written });
    }
    if let Some(differences) = by_others.first() {
        console::note(&format!(
            "{} of {} cases were done by another recipe and are done again: {differences}",
            by_others.len(),
            jobs.len()
        ));
    }
    Ok(jobs)
}

/// Removes what a killed process had not finished: temporary files of these cases' label maps.
///
/// # Errors
///
/// A folder that cannot be listed or changed.
fn remove_leftovers(out: &Path, jobs: &[Job]) -> Result<()> {
    let outputs: Vec<PathBuf> = jobs.iter().map(|job| out.join(&job.output)).collect();
    let mut folders = BTreeMap::<&Path, Vec<&OsStr>>::new();
    for output in &outputs {
        if let (Some(folder), Some(name)) = (output.parent(), output.file_name()) {
            folders.entry(folder).or_default().push(name);
        }
    }
    for (folder, names) in folders.into_iter().filter(|(folder, _)| folder.is_dir()) {
        duomo_data::remove_leftovers(folder, names)?;
    }
    Ok(())
}
