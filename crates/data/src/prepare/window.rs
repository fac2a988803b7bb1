//! Where the square is cut.

use super::resample::{Axis, whole};

/// What the crop is centred on. All slices of a volume share one square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CropCentre {
    /// The box around all annotated pixels of the volume, as in the paper; without any, the image.
    Annotation,
    /// A given box.
    Box(PlaneBox),
    /// The image.
    Image,
}

/// A box of rows and columns in a volume turned to its plane, before resampling.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PlaneBox {
    /// First and last row.
    pub rows: [usize; 2],
    /// First and last column.
    pub columns: [usize; 2],
}

/// Returns row and column where the square starts, on the resampled grid; it may lie outside.
///
/// ```text
/// start = ⌊(first + last + 1 − crop) / 2⌋
/// ```
pub(super) fn starts(
    centre: CropCentre,
    labels: Option<&[u8]>,
    axes: [Axis; 2],
    crop: usize,
    warnings: &mut Vec<String>,
) -> [i64; 2] {
    let image = axes.map(|axis| [0, axis.size - 1]);
    let spans = match (centre, labels) {
        (CropCentre::Image, _) => image,
        (CropCentre::Box(given), _) => resampled(given, axes),
        (CropCentre::Annotation, None) => {
            warnings.push("no label map; the crop is centred on the image".to_owned());
            image
        }
        (CropCentre::Annotation, Some(labels)) => annotated(labels, axes).unwrap_or_else(|| {
            warnings.push("no annotated voxel; the crop is centred on the image".to_owned());
            image
        }),
    };
    match centre {
        CropCentre::Annotation if spans != image => {
            warn_if_cut(spans, crop, ("the annotation spans", "lost"), warnings);
        }
        CropCentre::Box(_) if spans != image => {
            let words = ("what the network found spans", "left unsegmented");
            warn_if_cut(spans, crop, words, warnings);
        }
        _ => {}
    }
    spans.map(|[first, last]| (signed(first) + signed(last) + 1 - signed(crop)).div_euclid(2))
}

fn warn_if_cut(
    spans: [[usize; 2]; 2],
    crop: usize,
    (what, fate): (&str, &str),
    warnings: &mut Vec<String>,
) {
    for ([first, last], name) in spans.into_iter().zip(["rows", "columns"]) {
        let span = last + 1 - first;
        if span > crop {
            let cut = span - crop;
            warnings.push(format!("{what} {span} {name}, the crop {crop}: {cut} {fate}"));
        }
    }
}

/// First and last row and column, over all slices, that hold a label.
fn annotated(labels: &[u8], axes: [Axis; 2]) -> Option<[[usize; 2]; 2]> {
    let [rows, columns] = axes.map(|axis| axis.size);
    let mut inside = [vec![false; rows], vec![false; columns]];
    for (line, row) in labels.chunks_exact(columns).zip((0..rows).cycle()) {
        for (column, _) in line.iter().enumerate().filter(|&(_, &class)| class != 0) {
            inside[0][row] = true;
            inside[1][column] = true;
        }
    }
    let span = |inside: &Vec<bool>| {
        let first = inside.iter().position(|&inside| inside)?;
        let last = inside.iter().rposition(|&inside| inside)?;
        Some([first, last])
    };
    Some([span(&inside[0])?, span(&inside[1])?])
}

fn resampled(given: PlaneBox, axes: [Axis; 2]) -> [[usize; 2]; 2] {
    let [rows, columns] = axes;
    let nearest = |axis: Axis| {
        move |position: usize| {
            whole(axis.resampled_position(position as f64).round().max(0.0)).min(axis.size - 1)
        }
    };
    [given.rows.map(nearest(rows)), given.columns.map(nearest(columns))]
}

/// A length as a signed number.
pub(super) fn signed(length: usize) -> i64 {
    i64::try_from(length).expect("no image has 2^63 pixels on a side")
}
