//! Which prediction belongs to which reference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::exit::Fault;

/// A reference and the prediction of the same case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    /// Name of the case: the file's name without its NIfTI extension.
    pub case: String,
    /// Reference label map.
    pub reference: PathBuf,
    /// Predicted label map.
    pub prediction: PathBuf,
}

/// What two paths hold.
#[derive(Debug, PartialEq)]
pub(crate) struct Pairing {
    /// Cases on both sides, by name.
    pub pairs: Vec<Pair>,
    /// References that have no prediction.
    pub unpredicted: Vec<PathBuf>,
    /// Predictions that have no reference.
    pub unreferenced: Vec<PathBuf>,
}

/// Pairs two files, or the files of two folders by their names.
///
/// # Errors
///
/// If a path does not exist, if one is a file and the other a folder, or if no name is on both sides.
pub(crate) fn pair(reference: &Path, prediction: &Path) -> Result<Pairing> {
    for path in [reference, prediction] {
        if !path.exists() {
            return Err(Fault::Data(format!("{} does not exist", path.display())).into());
        }
    }
    match (reference.is_dir(), prediction.is_dir()) {
        (true, true) => pair_folders(reference, prediction),
        (false, false) => {
            let case = stem(prediction).unwrap_or_else(|| prediction.display().to_string());
            let pair = Pair { case, reference: reference.into(), prediction: prediction.into() };
            Ok(Pairing { pairs: vec![pair], unpredicted: Vec::new(), unreferenced: Vec::new() })
        }
        _ => Err(Fault::Usage(format!(
            "--reference {} and --prediction {} must be two files or two folders",
            reference.display(),
            prediction.display()
        ))
        .into()),
    }
}

fn pair_folders(reference: &Path, prediction: &Path) -> Result<Pairing> {
    let references = nifti_files(reference)?;
    let mut predictions = nifti_files(prediction)?;
    let (mut pairs, mut unpredicted) = (Vec::new(), Vec::new());
    for (case, reference) in references {
        match predictions.remove(&case) {
            Some(prediction) => pairs.push(Pair { case, reference, prediction }),
            None => unpredicted.push(reference),
        }
    }
    let unreferenced: Vec<_> = predictions.into_values().collect();
    if pairs.is_empty() {
        return Err(Fault::Data(format!(
            "no NIfTI file has the same name in {} ({} files) and {} ({} files); name each \
             prediction like its reference",
            reference.display(),
            unpredicted.len(),
            prediction.display(),
            unreferenced.len()
        ))
        .into());
    }
    Ok(Pairing { pairs, unpredicted, unreferenced })
}

/// The NIfTI files right in a folder, by case name.
fn nifti_files(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let Some(case) = stem(&path).filter(|case| !case.starts_with('.')) else { continue };
        if let Some(other) = files.insert(case, path.clone()) {
            let mut names = [other, path];
            names.sort();
            return Err(Fault::Data(format!(
                "{} and {} have one name; remove the one that is not meant",
                names[0].display(),
                names[1].display()
            ))
            .into());
        }
    }
    Ok(files)
}

/// A NIfTI file's name without its extension; `None` for other files.
pub(crate) fn stem(path: &Path) -> Option<String> {
    duomo_data::nifti_stem(path.file_name()?.to_str()?).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    #[test]
    fn folders_pair_by_name_whatever_the_compression() {
        let references = folder(&["b.NII.GZ", "a.hdr.gz", "a.img.gz", "lost.nii.gz", "notes.txt"]);
        let predictions = folder(&["a.nii", "b.nii.gz", "extra.nii.gz", ".b.nii.gz"]);

        let pairing = pair(references.path(), predictions.path()).unwrap();

        let cases: Vec<_> = pairing.pairs.iter().map(|pair| pair.case.as_str()).collect();
        assert_eq!(cases, ["a", "b"]);
        assert_eq!(pairing.unpredicted, [references.path().join("lost.nii.gz")]);
        assert_eq!(pairing.unreferenced, [predictions.path().join("extra.nii.gz")]);
    }

    #[test]
    fn two_files_of_one_name_are_bad_data() {
        let references = folder(&["a.nii", "a.nii.gz"]);

        let error = pair(references.path(), folder(&["a.nii"]).path()).unwrap_err();

        let message = "a.nii.gz have one name; remove the one that is not meant";
        assert!(error.to_string().ends_with(message), "{error}");
        assert_eq!(crate::exit::code_of(&error), 3);
    }

    #[test]
    fn a_file_and_a_folder_are_refused_as_wrong_usage() {
        let references = folder(&["a.nii.gz"]);

        let error = pair(&references.path().join("a.nii.gz"), references.path()).unwrap_err();

        assert!(error.to_string().ends_with("must be two files or two folders"), "{error}");
        assert_eq!(crate::exit::code_of(&error), 2);
    }

    #[test]
    fn folders_without_a_common_name_are_bad_data() {
        let error = pair(folder(&["a.nii"]).path(), folder(&["b.nii"]).path()).unwrap_err();

        assert!(error.to_string().contains("no NIfTI file has the same name"), "{error}");
        assert_eq!(crate::exit::code_of(&error), 3);
    }
}
