//! Segments cases and compares them with their references.

use std::path::{PathBuf, absolute};

use anyhow::{Context, Result};
use duomo_data::{LabelMap, PreparedCase, make_folder, read_image, read_labels, write_labels};
use duomo_metrics::{ClassResult, Options};
use serde::{Deserialize, Serialize};

use crate::cases::Cases;
use crate::inference::{class_indices, segment, segment_automatically};
use crate::model_file::Model;
use crate::observer::{Event, Interrupted, Observer};
use crate::postprocessing::{Candidate, PostProcessing, learn};
use crate::run_folder::RunFolder;
use crate::volumes::voxel_mm3;

/// A test case's scores on the grid of its own image.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CaseScores {
    /// Patient.
    pub case: String,
    /// Modality name.
    pub modality: String,
    /// Image file.
    pub image: PathBuf,
    /// Reference label map.
    pub reference: PathBuf,
    /// Predicted label map.
    pub prediction: PathBuf,
    /// Scores of each foreground class, in the order of class indices.
    pub classes: Vec<ClassScores>,
    /// Dice of each foreground class when the crop is found by the network itself, not taken from
    /// the annotation.
    pub automatic_box_dice: Vec<Option<f64>>,
}

/// One class of one case. An undefined value is `null`; the status says why.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ClassScores {
    /// Class name.
    pub name: String,
    /// `ok`, `missed`, `spurious` or `absent-both`.
    pub status: String,
    /// Dice overlap in `0..=1`.
    pub dice: Option<f64>,
    /// Jaccard overlap in `0..=1`.
    pub jaccard: Option<f64>,
    /// Hausdorff distance in mm.
    pub hausdorff_mm: Option<f64>,
    /// 95th percentile Hausdorff distance in mm.
    pub hausdorff95_mm: Option<f64>,
    /// Average symmetric surface distance in mm.
    pub assd_mm: Option<f64>,
    /// Hausdorff distance in voxel units, as the paper's tables seem to print it.
    pub hausdorff_voxels: Option<f64>,
    /// Volume of the reference in ml.
    pub volume_reference_ml: f64,
    /// Volume of the prediction in ml.
    pub volume_prediction_ml: f64,
}

impl CaseScores {
    /// Mean Dice over the foreground classes for which it is defined.
    pub fn mean_dice(&self) -> Option<f64> {
        mean(self.classes.iter().filter_map(|class| class.dice))
    }
}

/// Mean foreground Dice over cases of one modality on the prepared grid; `None` without a value.
///
/// # Errors
///
/// A case that the model cannot take.
pub(crate) fn mean_dice(
    model: &Model,
    cases: &[PreparedCase],
    modality: usize,
) -> Result<Option<f64>> {
    let classes = model.card.labels.len();
    let mut values = Vec::new();
    for case in cases {
        let predicted = class_indices(model, case, modality)?;
        let Some(reference) = &case.labels else { continue };
        let counts = duomo_metrics::count_confusion(&predicted, reference, &foreground(classes))?;
        values.extend(counts.iter().filter_map(duomo_metrics::Confusion::dice));
    }
    Ok(mean(values.into_iter()))
}

/// Segments every test case, writes its prediction and compares it with its reference.
///
/// # Errors
///
/// A file that cannot be read or written, named together with the case. [`Interrupted`] if the observer
/// wants the run, whose `steps` are done, to stop.
pub(crate) fn evaluate_test_cases(
    model: &Model,
    cases: &Cases,
    label_map: &LabelMap,
    folder: &RunFolder,
    steps: u64,
    observer: &mut dyn Observer,
) -> Result<Vec<CaseScores>> {
    let mut scores = Vec::new();
    for (modality, cases) in cases.test.iter().enumerate() {
        let name = &model.card.modalities[modality];
        for case in cases {
            if observer.wants_stop() {
                return Err(Interrupted { step: steps, steps }.into());
            }
            let patient = &case.case.patient;
            let score = evaluate_case(model, case, label_map, folder)
                .with_context(|| format!("case {patient}, modality {name}"))?;
            observer.event(&Event::TestCase {
                case: patient,
                modality: name,
                dice: score.mean_dice(),
            });
            scores.push(score);
        }
    }
    Ok(scores)
}

fn evaluate_case(
    model: &Model,
    case: &PreparedCase,
    label_map: &LabelMap,
    folder: &RunFolder,
) -> Result<CaseScores> {
    let modality = case.case.modality;
    let name = &model.card.modalities[modality];
    let reference_path = case.case.labels.clone().context("a test case needs a reference")?;
    let reference = read_labels(&reference_path)?;
    let expected = label_map.classes(&reference, &reference_path)?;
    let image = read_image(&case.case.image)?;
    let mut predicted = segment(model, case, modality)?;
    let mut automatic = segment_automatically(model, &case.case, &image, modality)?.1;
    let (shape, voxel_mm3) = (image.geometry.shape, voxel_mm3(&image.geometry));
    for classes in [&mut predicted, &mut automatic] {
        model.card.postprocessing.apply(classes, shape, voxel_mm3);
    }

    let prediction = folder.predictions().join(name).join(format!("{}.nii.gz", case.case.patient));
    make_folder(&folder.predictions().join(name))?;
    // The image's geometry, as in `duomo predict`: labels whose voxels alone are trusted say nothing of it.
    write_labels(&prediction, &image.geometry, &label_map.values(&predicted))?;

    let options = Options { voxel_mm3, ..Options::new(image.geometry.spacing_mm) };
    let labels = foreground(model.card.labels.len());
    let results = duomo_metrics::evaluate(&predicted, &expected, shape, &labels, &options)?;
    let automatic = duomo_metrics::count_confusion(&automatic, &expected, &labels)?;
    let classes = results.iter().zip(&model.card.labels);
    Ok(CaseScores {
        case: case.case.patient.clone(),
        modality: name.clone(),
        // Whoever reads the summary may stand elsewhere.
        image: absolute(&case.case.image)?,
        reference: absolute(&reference_path)?,
        prediction,
        classes: classes.map(|(result, label)| ClassScores::of(&label.name, result)).collect(),
        automatic_box_dice: automatic.iter().map(duomo_metrics::Confusion::dice).collect(),
    })
}

/// The rules that help the model's predictions of the validation cases, made as `duomo predict` makes
/// them: each crop found by the network itself.
///
/// # Errors
///
/// A file that cannot be read, named together with the case. [`Interrupted`] if the observer wants the
/// run, whose `steps` are done, to stop.
pub(crate) fn learn_postprocessing(
    model: &Model,
    cases: &[Vec<PreparedCase>],
    label_map: &LabelMap,
    steps: u64,
    observer: &mut dyn Observer,
) -> Result<PostProcessing> {
    let mut candidates = Vec::new();
    for (modality, cases) in cases.iter().enumerate() {
        for PreparedCase { case, .. } in cases {
            if observer.wants_stop() {
                return Err(Interrupted { step: steps, steps }.into());
            }
            let image = read_image(&case.image)?;
            let path = case.labels.as_deref().context("a validation case needs a reference")?;
            let reference = label_map.classes(&read_labels(path)?, path)?;
            let prediction = segment_automatically(model, case, &image, modality)
                .with_context(|| format!("case {}", case.patient))?
                .1;
            candidates.push(Candidate {
                modality,
                shape: image.geometry.shape,
                voxel_mm3: voxel_mm3(&image.geometry),
                prediction,
                reference,
            });
        }
    }
    Ok(learn(&candidates, model.card.labels.len()))
}

impl ClassScores {
    fn of(name: &str, result: &ClassResult) -> Self {
        Self {
            name: name.to_owned(),
            status: result.status.as_str().to_owned(),
            dice: result.dice,
            jaccard: result.jaccard,
            hausdorff_mm: result.hausdorff_mm,
            hausdorff95_mm: result.hausdorff95_mm,
            assd_mm: result.assd_mm,
            hausdorff_voxels: result.hausdorff_voxels,
            volume_reference_ml: result.volume_reference_ml(),
            volume_prediction_ml: result.volume_prediction_ml(),
        }
    }
}

/// Indices of the foreground classes.
fn foreground(classes: usize) -> Vec<u16> {
    (1..).take(classes).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u32);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}
