//! One case by itself.

use std::collections::BTreeMap;
use std::path::Path;

use super::finding::{Finding, FindingKind};
use super::statistics::Intensities;
use crate::nifti::{FORMS_DISAGREE, NOT_FINITE};
use crate::prepare::{BLANK, only_value, square_spacing};
use crate::{
    Case, CropCentre, Dataset, Error, GeometryCheck, Image, LabelMap, Labels, Preparation,
    PreparedCase, UnknownLabels, prepare_volume, read_image, read_labels,
};

/// A case that could be read.
#[derive(Clone, Debug)]
pub struct InspectedCase {
    /// The case.
    pub case: Case,
    /// `[D, H, W]` of the image.
    pub shape: [usize; 3],
    /// Edge lengths of a voxel along `[D, H, W]`, in millimetres.
    pub spacing_mm: [f64; 3],
    /// Maps voxel `(W, H, D)` to RAS+ millimetres.
    pub affine: [[f64; 4]; 3],
    /// Slices in the data set's plane.
    pub slices: usize,
    /// Slices that show class 1, 2, …; empty without a label map.
    pub slices_with: Vec<usize>,
    /// The slice that tells most, as the network would see it.
    pub glimpse: Glimpse,
    /// What is odd about preparing it, one sentence each.
    pub warnings: Vec<String>,
}

/// One slice of a prepared case.
#[derive(Clone, Debug)]
pub struct Glimpse {
    /// Index of the slice.
    pub slice: usize,
    /// Side of the square, in pixels.
    pub side: usize,
    /// Edges of a pixel along rows' and columns' axes, in millimetres.
    pub spacing_mm: [f64; 2],
    /// `[side, side]`, z-scored.
    pub image: Vec<f32>,
    /// `[side, side]` class indices; background without a label map.
    pub labels: Vec<u8>,
}

/// What is kept of a case.
pub(super) struct Observed {
    pub(super) case: Case,
    pub(super) findings: Vec<Finding>,
    pub(super) inspected: Option<InspectedCase>,
    /// Of shape and voxels, however they are stored.
    pub(super) digest: Option<blake3::Hash>,
    pub(super) intensities: Option<Intensities>,
}

/// Reads a case and finds everything that can be found without the others.
pub(super) fn observe(dataset: &Dataset, case: &Case) -> Observed {
    let mut findings = Findings { dataset, case, all: Vec::new() };
    let image = findings.unless_unreadable(&case.image, read_image(&case.image));
    let labels = case.labels.as_deref().and_then(|path| {
        let labels = findings.unless_unreadable(path, read_labels(path))?;
        findings.of_labels(path, &labels);
        Some((path, labels))
    });
    if let Some(image) = &image {
        findings.of_image(image);
    }
    if let (Some(image), Some((path, labels))) = (&image, &labels) {
        findings.of_grids(image, path, labels);
    }
    let labels = labels.map(|(_, labels)| labels);
    let inspected = image.as_ref().and_then(|image| findings.inspected(image, labels.as_ref()));
    Observed {
        case: case.clone(),
        findings: findings.all,
        inspected,
        digest: image.as_ref().map(digest),
        intensities: image.as_ref().and_then(|image| Intensities::of(&image.voxels)),
    }
}

/// The findings of one case.
struct Findings<'a> {
    dataset: &'a Dataset,
    case: &'a Case,
    all: Vec<Finding>,
}

impl Findings<'_> {
    fn push(
        &mut self,
        (kind, path): (FindingKind, &Path),
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.all.push(Finding {
            kind,
            modality: Some(self.dataset.modalities[self.case.modality].name.clone()),
            patient: Some(self.case.patient.clone()),
            path: path.to_owned(),
            found: found.into(),
            expected: expected.into(),
            remedy: remedy.into(),
        });
    }

    fn unless_unreadable<T>(&mut self, path: &Path, read: Result<T, Error>) -> Option<T> {
        let error = match read {
            Ok(volume) => return Some(volume),
            Err(Error::Nifti { fault, path: half }) if half == path => fault.to_string(),
            Err(error) => error.to_string(),
        };
        let remedy = "fetch or convert the file again, or remove the case";
        self.push((FindingKind::Unreadable, path), error, "one readable NIfTI volume", remedy);
        None
    }

    fn of_image(&mut self, image: &Image) {
        let path = &self.case.image;
        self.oddities(path, &image.warnings);
        if let Some(value) = only_value(&image.voxels) {
            let found = format!("{BLANK} {value}");
            let remedy = "export the image again, or remove the case";
            self.push((FindingKind::EmptyImage, path), found, "grey values that differ", remedy);
        }
    }

    fn of_labels(&mut self, path: &Path, labels: &Labels) {
        self.oddities(path, &labels.warnings);
        match self.dataset.label_map().classes(labels, path) {
            Err(Error::UnknownLabels { found, known, .. }) => self.push(
                (FindingKind::UnknownLabels, path),
                found,
                format!("0, {known}"),
                "add the values to a class, correct the label map, or set unknown_labels = \
                 \"background\" in a data set file of your own",
            ),
            Err(error) => self.push(
                (FindingKind::Unprepared, path),
                error.to_string(),
                "a label map",
                "correct the label map",
            ),
            Ok(classes) if classes.iter().all(|&class| class == 0) => self.push(
                (FindingKind::EmptyLabels, path),
                "no voxel has a class",
                "some annotated voxels",
                "keep it if nothing is to be seen in this image; else add the annotation",
            ),
            Ok(_) => {}
        }
    }

    fn of_grids(&mut self, image: &Image, path: &Path, labels: &Labels) {
        let (image, labels) = (&image.geometry, &labels.geometry);
        if image.shape != labels.shape {
            let found = format!("[D, H, W] = {:?}", labels.shape);
            let expected = format!("{:?}, as the image has", image.shape);
            let remedy = "resample the labels onto the image's grid";
            self.push((FindingKind::Shape, path), found, expected, remedy);
            return;
        }
        let distance_mm = image.max_corner_distance_mm(labels);
        let tolerance_mm = self.dataset.geometry_tolerance_mm;
        if distance_mm > tolerance_mm && self.dataset.geometry == GeometryCheck::Match {
            let found = format!("a corner {distance_mm:.1} mm from the image's");
            let expected = format!("at most {tolerance_mm} mm");
            let remedy = "look at the contact sheet: if the voxels match, --fix-headers writes a \
                          copy with the image's geometry; else resample the labels";
            self.push((FindingKind::Geometry, path), found, expected, remedy);
        }
    }

    /// What the reader said about a file that it could read.
    fn oddities(&mut self, path: &Path, warnings: &[String]) {
        for warning in warnings {
            let (kind, expected, remedy) = if warning.contains(FORMS_DISAGREE) {
                let remedy = "--fix-headers writes a copy in which both say what the sform says";
                (FindingKind::Forms, "one place", remedy)
            } else if warning.ends_with(NOT_FINITE) {
                let remedy = "export the image again if they lie in the patient";
                (FindingKind::NotFinite, "numbers", remedy)
            } else {
                let remedy = "nothing, if that is what is meant; else correct the header";
                (FindingKind::Oddity, "a header without contradiction", remedy)
            };
            self.push((kind, path), warning, expected, remedy);
        }
    }

    /// The case as training would prepare it, were labels and grids as they should be.
    fn inspected(&mut self, image: &Image, labels: Option<&Labels>) -> Option<InspectedCase> {
        let lenient = LabelMap::new(&self.dataset.labels, UnknownLabels::Background);
        let preparation =
            Preparation { geometry: GeometryCheck::TrustVoxels, ..self.dataset.preparation() };
        let fitting = labels.filter(|labels| labels.geometry.shape == image.geometry.shape);
        let centre = if fitting.is_some() { CropCentre::Annotation } else { CropCentre::Image };
        let with_map = fitting.map(|labels| (labels, &lenient));
        match prepare_volume(self.case, image, with_map, &preparation, centre) {
            Ok(prepared) => Some(self.summary(image, &preparation, &prepared)),
            Err(error) => {
                let remedy = "correct the data set's description or the file";
                let path = &self.case.image;
                let found = error.to_string();
                self.push((FindingKind::Unprepared, path), found, "a usable case", remedy);
                None
            }
        }
    }

    fn summary(
        &self,
        image: &Image,
        preparation: &Preparation,
        prepared: &PreparedCase,
    ) -> InspectedCase {
        let pixels = prepared.side * prepared.side;
        let labels = prepared.labels.as_deref().unwrap_or_default();
        let counts: Vec<BTreeMap<u8, usize>> = labels.chunks(pixels).map(counted).collect();
        let classes = 1..=u8::try_from(self.dataset.labels.len()).unwrap_or(u8::MAX);
        let with = |class| counts.iter().filter(|slice| slice.contains_key(&class)).count();
        let annotated =
            |slice: &BTreeMap<u8, usize>| slice.range(1..).map(|(_, &pixels)| pixels).sum();
        // Of equal slices the first.
        let areas: Vec<usize> = counts.iter().map(annotated).collect();
        let largest = areas.iter().copied().max().filter(|&area| area > 0);
        let slice = largest.and_then(|area| areas.iter().position(|&other| other == area));
        let slice = slice.unwrap_or(prepared.slices / 2);
        let own = image.warnings.len();
        InspectedCase {
            case: self.case.clone(),
            shape: image.geometry.shape,
            spacing_mm: image.geometry.spacing_mm,
            affine: image.geometry.affine,
            slices: prepared.slices,
            slices_with: if labels.is_empty() { vec![] } else { classes.map(with).collect() },
            glimpse: Glimpse {
                slice,
                side: prepared.side,
                spacing_mm: square_spacing(&image.geometry, preparation),
                image: prepared.images[slice * pixels..][..pixels].to_vec(),
                labels: match labels {
                    [] => vec![0; pixels],
                    labels => labels[slice * pixels..][..pixels].to_vec(),
                },
            },
            // The reader's come first; they and these are findings of their own.
            warnings: prepared.warnings[own..]
                .iter()
                .filter(|warning| {
                    !["label map: ", BLANK].iter().any(|own| warning.starts_with(own))
                })
                .cloned()
                .collect(),
        }
    }
}

fn counted(slice: &[u8]) -> BTreeMap<u8, usize> {
    let mut counts = BTreeMap::new();
    for &class in slice {
        *counts.entry(class).or_default() += 1;
    }
    counts
}

fn digest(image: &Image) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for length in image.geometry.shape {
        hasher.update(&(length as u64).to_le_bytes());
    }
    for voxels in image.voxels.chunks(4096) {
        let bytes: Vec<u8> = voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    hasher.finalize()
}
