//! Everything that can go wrong between a scanner file and a batch.

use std::io;
use std::path::PathBuf;

use crate::NiftiFault;

/// Why data could not be read, paired, prepared or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read a file or folder.
    #[error("cannot read {path}: {reason}", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The operating system refused to write a file or folder.
    #[error("cannot write {path}: {reason}{}", remedy(reason), path = path.display())]
    Write {
        /// The file or folder that was to be written.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// A file that is not one readable NIfTI volume.
    #[error("cannot use {path}: {fault}", path = path.display())]
    Nifti {
        /// The file, of a pair the half that is at fault.
        path: PathBuf,
        /// What is wrong in it.
        fault: NiftiFault,
    },
    /// A volume whose number of voxels is not that of the geometry it is written on.
    #[error(
        "cannot write {path}: {given} voxels were given for shape {shape:?}, which has {}",
        shape.iter().product::<usize>(), path = path.display()
    )]
    VoxelCount {
        /// The file that was to be written.
        path: PathBuf,
        /// Voxels given.
        given: usize,
        /// `[D, H, W]` of the geometry.
        shape: [usize; 3],
    },
    /// A volume with an axis longer than a NIfTI-1 file can say.
    #[error(
        "cannot write {path}: shape {shape:?} has an axis longer than the 32767 voxels of NIfTI-1",
        path = path.display()
    )]
    AxisTooLong {
        /// The file that was to be written.
        path: PathBuf,
        /// `[D, H, W]` of the geometry.
        shape: [usize; 3],
    },
    /// A volume whose slices would take more memory than any real scan's.
    #[error(
        "{path}: at {} × {} mm a pixel, as its header says, its {} slices would have {} × {} pixels \
         each; a slice may have 4096 along an axis, a volume 2^30 in all: correct the header's \
         spacing, or cut the volume",
        spacing_mm[0], spacing_mm[1], shape[0], shape[1], shape[2], path = path.display()
    )]
    TooManyPixels {
        /// The image.
        path: PathBuf,
        /// Slices, rows and columns that it would have.
        shape: [usize; 3],
        /// Height and width of a pixel as stored.
        spacing_mm: [f64; 2],
    },
    /// An output name from which no format follows.
    #[error("cannot write {path}: the name must end in .nii.gz or .nii", path = path.display())]
    OutputName {
        /// The name given.
        path: PathBuf,
    },
    /// A name that is neither a built-in data set nor a path.
    #[error(
        "there is no data set `{given}`: give one of `{known}`, a TOML file like them, or a folder \
         with nnU-Net's dataset.json"
    )]
    UnknownDataset {
        /// What was given.
        given: String,
        /// The built-in names.
        known: String,
    },
    /// A data set's description that does not parse.
    #[error("{file}, line {line}: {problem}{}", quoted(text))]
    ParseDataset {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The text of that line, which holds the key.
        text: String,
        /// What the parser expected.
        problem: String,
    },
    /// A data set's description that parses and cannot be.
    #[error("{file}, key `{key}`: {problem}")]
    InvalidDataset {
        /// The file, or the data set's name.
        file: String,
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// A modality that the data set does not have.
    #[error("data set {dataset} has no modality `{given}`; it has `{known}`")]
    UnknownModality {
        /// What was given.
        given: String,
        /// Name of the data set.
        dataset: String,
        /// The data set's modalities.
        known: String,
    },
    /// A data folder that is not there.
    #[error(
        "{path} is not a folder; give the folder that holds the images{}",
        clause(obtain), path = path.display()
    )]
    MissingFolder {
        /// What was given.
        path: PathBuf,
        /// How to come by the data; may be empty.
        obtain: String,
    },
    /// A data folder without a single volume.
    #[error(
        "no NIfTI file (.nii, .nii.gz, .hdr) lies under {path}{}",
        clause(obtain), path = path.display()
    )]
    NoFiles {
        /// The folder.
        path: PathBuf,
        /// How to come by the data; may be empty.
        obtain: String,
    },
    /// A modality of which no image has a label map.
    #[error(
        "no {modality} image with labels lies under {root}: {images} images and {label_maps} label \
         maps match, none of the same patient; expected names like {expected}, or change the \
         patterns in a data set file of your own", root = root.display()
    )]
    NoCases {
        /// The modality.
        modality: String,
        /// The data folder.
        root: PathBuf,
        /// Number of files that match as images.
        images: usize,
        /// Number of files that match as label maps.
        label_maps: usize,
        /// An image pattern and a label pattern.
        expected: String,
    },
    /// Label values that no class names.
    #[error(
        "{path} holds label values that no class names: {found}; the classes have {known}: add the \
         values to a class, or set unknown_labels = \"background\"", path = path.display()
    )]
    UnknownLabels {
        /// The label map.
        path: PathBuf,
        /// Values and the number of their voxels.
        found: String,
        /// Values that classes have.
        known: String,
    },
    /// An image and a label map with different numbers of voxels.
    #[error(
        "{} has shape {:?} but its labels {} have {:?} ([D, H, W]); resample the labels onto the \
         image's grid", paths.0.display(), shapes.0, paths.1.display(), shapes.1
    )]
    ShapeMismatch {
        /// Image, then label map.
        paths: (PathBuf, PathBuf),
        /// `[D, H, W]` of image, then label map.
        shapes: ([usize; 3], [usize; 3]),
    },
    /// An image and a label map at different places in the patient.
    #[error(
        "{} and its labels {} lie {distance_mm:.1} mm apart at a corner of the volume (tolerance \
         {tolerance_mm} mm): correct the wrong header, or set geometry = \"trust-voxels\" if the \
         voxels do match", paths.0.display(), paths.1.display()
    )]
    GeometryMismatch {
        /// Image, then label map.
        paths: (PathBuf, PathBuf),
        /// Largest distance between corresponding corners.
        distance_mm: f64,
        /// Distance up to which two grids count as one.
        tolerance_mm: f64,
    },
    /// A case that cannot be prepared.
    #[error("cannot prepare patient {patient}: {reason}")]
    Case {
        /// The patient.
        patient: String,
        /// Why.
        reason: Box<Error>,
    },
    /// A case that was to be learnt from and has no labels.
    #[error("patient {patient} has no label map, so it can be predicted but not learnt from")]
    Unlabelled {
        /// The patient.
        patient: String,
    },
    /// A modality without a patient to train on.
    #[error(
        "all patients of modality {modality} ({patients}) are in test_patients, which leaves none to \
         train on; name fewer of them, or add patients"
    )]
    TooFewPatients {
        /// Index of the modality.
        modality: usize,
        /// Number of its cases.
        patients: usize,
    },
    /// An option whose value cannot be.
    #[error("`{key}`: {problem}")]
    InvalidOption {
        /// The option.
        key: &'static str,
        /// What was expected and given.
        problem: String,
    },
}

/// What helps against a refusal to write, as the last clause of a sentence.
fn remedy(reason: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    if reason.raw_os_error().is_none() {
        // It is our own sentence.
        return "";
    }
    match reason.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => "; free some space there",
        Kind::FileTooLarge => {
            "; no file may be larger there (`ulimit -f` says what the shell allows)"
        }
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            "; give a folder that may be written to"
        }
        Kind::NotFound => "; its folder is not there, or was removed in the meantime",
        Kind::IsADirectory => "; a folder of that name is in the way",
        Kind::NotADirectory | Kind::AlreadyExists => "; a file is where a folder should be",
        Kind::InvalidFilename => "; the name must be shorter",
        _ => "",
    }
}

/// A line of a file, if there is anything on it.
fn quoted(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!(" (the line is `{line}`)") }
}

/// How to come by the data, as the last clause of a sentence.
fn clause(obtain: &str) -> String {
    if obtain.is_empty() { String::new() } else { format!("; to obtain the data, {obtain}") }
}
