//! Cases against each other.

use std::collections::BTreeMap;
use std::path::Path;

use super::case::Observed;
use super::finding::{Finding, FindingKind};
use super::statistics::outliers as outlying;
use crate::Dataset;

/// Spacings that differ by less than this factor are nothing special.
const SPACING_FACTOR: f64 = 2.0;

/// An image with fewer different values than this is a label map, or thresholded.
const VALUES_MIN: usize = 16;

/// Images whose voxels were already met under another name, whatever the patient or modality.
pub(super) fn duplicates(dataset: &Dataset, observed: &[Observed]) -> Vec<Finding> {
    let mut first = BTreeMap::<[u8; 32], &Path>::new();
    let mut findings = Vec::new();
    for one in observed {
        let Some(digest) = one.digest else { continue };
        match first.get(digest.as_bytes()) {
            None => {
                first.insert(*digest.as_bytes(), &one.case.image);
            }
            Some(other) => findings.push(finding(
                (dataset, one),
                FindingKind::Duplicate,
                format!("the same voxels as {}", other.display()),
                "each image once".to_owned(),
                "remove one of the two: training on one and testing on the other tests nothing",
            )),
        }
    }
    findings
}

/// Cases unlike the others of their modality.
pub(super) fn outliers(dataset: &Dataset, observed: &[Observed]) -> Vec<Finding> {
    let modalities = 0..dataset.modalities.len();
    modalities
        .flat_map(|modality| {
            let cases: Vec<&Observed> =
                observed.iter().filter(|one| one.case.modality == modality).collect();
            let mut findings = spacings(dataset, &cases);
            findings.extend(intensities(dataset, &cases));
            findings
        })
        .collect()
}

fn spacings(dataset: &Dataset, cases: &[&Observed]) -> Vec<Finding> {
    let cases: Vec<_> =
        cases.iter().filter_map(|one| Some((*one, one.inspected.as_ref()?.spacing_mm))).collect();
    let mut findings = Vec::new();
    for (axis, name) in ["D", "H", "W"].into_iter().enumerate() {
        let logarithms: Vec<f64> = cases.iter().map(|(_, spacing)| spacing[axis].ln()).collect();
        for (at, median) in outlying(&logarithms, SPACING_FACTOR.ln()) {
            let (one, spacing) = cases[at];
            findings.push(finding(
                (dataset, one),
                FindingKind::Spacing,
                format!("a spacing of {:.3} mm along {name}", spacing[axis]),
                format!("about {:.3} mm, as in the others", median.exp()),
                "compare with the scanner's protocol: spacings are easily lost when voxels are \
                 resampled",
            ));
        }
    }
    findings
}

fn intensities(dataset: &Dataset, cases: &[&Observed]) -> Vec<Finding> {
    let cases: Vec<_> = cases.iter().filter_map(|one| Some((*one, one.intensities?))).collect();
    // One strange image is strange in several ways; the first says enough.
    let mut strange = BTreeMap::<usize, (String, String)>::new();
    for (at, (_, intensities)) in cases.iter().enumerate() {
        if intensities.distinct < VALUES_MIN {
            let found = format!("{} different grey values", intensities.distinct);
            strange.insert(at, (found, format!("at least {VALUES_MIN}")));
        }
    }
    let features: Vec<_> = cases.iter().map(|(_, intensities)| intensities.features()).collect();
    let names = features.first().into_iter().flatten().enumerate();
    for (place, &(name, _, least)) in names {
        let values: Vec<f64> = features.iter().map(|of_case| of_case[place].1).collect();
        for (at, median) in outlying(&values, least) {
            let found = format!("{name} is {:.2}", values[at]);
            let expected = format!("about {median:.2}, as in the others");
            strange.entry(at).or_insert((found, expected));
        }
    }
    let remedy = "look at the contact sheet: is it the right modality, and an image?";
    let finding = |(at, (found, expected)): (usize, (String, String))| {
        finding((dataset, cases[at].0), FindingKind::Intensities, found, expected, remedy)
    };
    strange.into_iter().map(finding).collect()
}

fn finding(
    (dataset, one): (&Dataset, &Observed),
    kind: FindingKind,
    found: String,
    expected: String,
    remedy: &str,
) -> Finding {
    Finding {
        kind,
        modality: Some(dataset.modalities[one.case.modality].name.clone()),
        patient: Some(one.case.patient.clone()),
        path: one.case.image.clone(),
        found,
        expected,
        remedy: remedy.to_owned(),
    }
}
