//! Folders and file names of the imitated data sets.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::{Error, Modality, Options, simulate};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// One entry per scan, by modality in the order asked for, then by patient.
    pub cases: Vec<WrittenCase>,
}

/// The files of one scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCase {
    /// Modality of the scan.
    pub modality: Modality,
    /// Number of the patient, from 1.
    pub patient: usize,
    /// Grey values.
    pub image: PathBuf,
    /// Labels on the same grid.
    pub labels: PathBuf,
}

/// Writes a synthetic data set under `out` in the official layout and says what it wrote.
///
/// ```text
/// mscmr: c0t2lge/patient{N}_{LGE,C0,T2}.nii.gz       lgegt|c0gt|t2gt/patient{N}_{LGE,C0,T2}_manual.nii.gz
/// mmwhs: ct_train/ct_train_{1000+N}_{image,label}.nii.gz      mr_train/mr_train_{1000+N}_…
/// ```
///
/// Grey values are `i16`; labels are 200 myocardium, 500 left and 600 right cavity, or the seven
/// values of MM-WHS. Every scan has labels. Files of the same name are replaced. Patients are made
/// in parallel; the same options write the same bytes on any number of threads.
///
/// # Errors
///
/// - [`Error::MatrixScale`], [`Error::TooCoarse`], [`Error::ForeignModality`] if the options contradict themselves
/// - [`Error::Data`] if a folder or file cannot be written
///
/// # Examples
///
/// ```
/// use duomo_phantom::{Kind, Modality, Options, write_dataset};
///
/// let out = tempfile::tempdir().unwrap();
/// let options = Options {
///     patients: vec![(Modality::Lge, 1), (Modality::Bssfp, 1)],
///     matrix_scale: 0.1,
///     ..Options::new(Kind::Mscmr, 1)
/// };
/// let written = write_dataset(&options, out.path())?;
/// assert_eq!(written.cases[1].image, out.path().join("c0t2lge/patient1_C0.nii.gz"));
/// # Ok::<(), duomo_phantom::Error>(())
/// ```
pub fn write_dataset(options: &Options, out: &Path) -> Result<Written, Error> {
    options.check()?;
    let cases: Vec<WrittenCase> = options
        .patients
        .iter()
        .flat_map(|&(modality, patients)| {
            (1..=patients).map(move |patient| paths(out, modality, patient))
        })
        .collect();
    for folder in
        cases.iter().flat_map(|case| [&case.image, &case.labels]).filter_map(|f| f.parent())
    {
        duomo_data::make_folder(folder)?;
    }
    cases.par_iter().try_for_each(|case| write_case(options, case))?;
    Ok(Written { cases })
}

fn write_case(options: &Options, case: &WrittenCase) -> Result<(), Error> {
    let scan = simulate(options, case.modality, case.patient)?;
    duomo_data::write_image_i16(&case.image, &scan.geometry, &scan.voxels)?;
    duomo_data::write_labels(&case.labels, &scan.geometry, &scan.labels)?;
    Ok(())
}

fn paths(out: &Path, modality: Modality, patient: usize) -> WrittenCase {
    let short_axis = |folder: &str, suffix: &str| {
        (
            out.join(format!("c0t2lge/patient{patient}_{suffix}.nii.gz")),
            out.join(format!("{folder}/patient{patient}_{suffix}_manual.nii.gz")),
        )
    };
    let whole_heart = |name: &str| {
        let number = 1000 + patient;
        let file = |role: &str| out.join(format!("{name}/{name}_{number}_{role}.nii.gz"));
        (file("image"), file("label"))
    };
    let (image, labels) = match modality {
        Modality::Lge => short_axis("lgegt", "LGE"),
        Modality::Bssfp => short_axis("c0gt", "C0"),
        Modality::T2 => short_axis("t2gt", "T2"),
        Modality::Ct => whole_heart("ct_train"),
        Modality::Mr => whole_heart("mr_train"),
    };
    WrittenCase { modality, patient, image, labels }
}
