//! Copies of files whose headers are wrong in a way that says how they should be.

use std::io;
use std::path::{Path, PathBuf};

use super::{Finding, FindingKind, Inspection};
use crate::{
    Error, Geometry, Image, make_folder, read_image, read_labels, write_image, write_image_i16,
    write_labels,
};

/// A corrected copy of a file.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct FixedHeader {
    /// The file, which stays as it is.
    pub from: PathBuf,
    /// The copy.
    pub to: PathBuf,
    /// What is different in it, one phrase each.
    pub changes: Vec<String>,
}

/// Writes corrected copies of the files that have a [`FindingKind::Geometry`] or [`FindingKind::Forms`], at the same place
/// below `out` as below `root`, as `.nii.gz`; returns what was changed in each.
///
/// A label map that lies elsewhere than its image gets the image's geometry: its voxels are trusted, so somebody should have
/// looked at them. A qform that disagrees with the sform is replaced. Values stay as they are; grey values are stored as
/// 16-bit integers where they are such, else as 32-bit reals, without a slope.
///
/// # Errors
///
/// - [`Error::Write`] if a copy would replace a file (nothing is written then), or cannot be written
/// - [`Error::Read`] or [`Error::Nifti`] if a file cannot be read any more
pub fn fix_headers(
    inspection: &Inspection,
    root: &Path,
    out: &Path,
) -> Result<Vec<FixedHeader>, Error> {
    let plans = plans(inspection, root, out);
    for plan in &plans {
        if plan.to.exists() {
            let reason = io::Error::new(io::ErrorKind::AlreadyExists, "it exists already");
            return Err(Error::Write { path: plan.to.clone(), reason });
        }
    }
    plans.iter().map(carry_out).collect()
}

/// One file to be corrected.
struct Plan<'a> {
    /// The image of the case.
    image: &'a Path,
    from: &'a Path,
    to: PathBuf,
    /// `Geometry`, `Forms` or both.
    findings: Vec<&'a Finding>,
}

fn plans<'a>(inspection: &'a Inspection, root: &Path, out: &Path) -> Vec<Plan<'a>> {
    let mut plans = Vec::new();
    for case in &inspection.cases {
        let case = &case.case;
        for from in std::iter::once(&case.image).chain(&case.labels) {
            let findings = inspection.findings.iter().filter(|finding| {
                finding.path == *from
                    && matches!(finding.kind, FindingKind::Geometry | FindingKind::Forms)
            });
            let findings: Vec<&Finding> = findings.collect();
            if !findings.is_empty() {
                let to = copy_of(from, root, out);
                plans.push(Plan { image: &case.image, from, to, findings });
            }
        }
    }
    plans
}

fn copy_of(from: &Path, root: &Path, out: &Path) -> PathBuf {
    let copy = out.join(from.strip_prefix(root).unwrap_or(from));
    let name = copy.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = [".nii", ".hdr"].iter().find_map(|ending| name.strip_suffix(ending));
    copy.with_file_name(format!("{}.nii.gz", stem.unwrap_or(name)))
}

fn carry_out(plan: &Plan<'_>) -> Result<FixedHeader, Error> {
    if let Some(folder) = plan.to.parent() {
        make_folder(folder)?;
    }
    let has = |kind| plan.findings.iter().any(|finding| finding.kind == kind);
    if plan.from == plan.image {
        let image = read_image(plan.from)?;
        write_grey(&plan.to, &image.geometry.with_qform_of_sform(), &image)?;
    } else {
        let labels = read_labels(plan.from)?;
        let like = if has(FindingKind::Geometry) {
            read_image(plan.image)?.geometry
        } else {
            labels.geometry
        };
        write_labels(&plan.to, &like.with_qform_of_sform(), &labels.values.to_vec())?;
    }
    let change = |finding: &&Finding| match finding.kind {
        FindingKind::Geometry => {
            format!("has the geometry of {} (had {})", plan.image.display(), finding.found)
        }
        _ => format!("has a qform that says what the sform says (had: {})", finding.found),
    };
    let changes = plan.findings.iter().map(change).collect();
    Ok(FixedHeader { from: plan.from.to_owned(), to: plan.to.clone(), changes })
}

fn write_grey(path: &Path, geometry: &Geometry, image: &Image) -> Result<(), Error> {
    let whole = |&voxel: &f32| {
        #[expect(clippy::cast_possible_truncation, reason = "what does not fit is seen")]
        let number = voxel as i16;
        (f32::from(number).total_cmp(&voxel).is_eq()).then_some(number)
    };
    match image.voxels.iter().map(whole).collect::<Option<Vec<i16>>>() {
        Some(numbers) => write_image_i16(path, geometry, &numbers),
        None => write_image(path, geometry, &image.voxels),
    }
}
