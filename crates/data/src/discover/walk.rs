//! Which NIfTI files lie under a folder.

use std::path::{Path, PathBuf};

use super::natural::natural_order;
use crate::Error;

/// Links can make a folder its own descendant; no data set is nested this deep.
const DEEPEST: usize = 32;

/// Endings of NIfTI files, longest first; of a pair only the header stands for the volume.
const ENDINGS: [&str; 4] = [".nii.gz", ".hdr.gz", ".nii", ".hdr"];

/// A NIfTI file below the data folder.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Folders below the data folder, then the name without its extension.
    pub(super) components: Vec<String>,
}

/// Returns every NIfTI file at any depth, in natural order; hidden files are skipped, for systems
/// leave files like `._patient1.nii.gz` beside the real ones.
pub(super) fn nifti_files(root: &Path) -> Result<Vec<Found>, Error> {
    let mut files = Vec::new();
    collect(root, &mut Vec::new(), &mut files)?;
    Ok(files)
}

fn collect(folder: &Path, above: &mut Vec<String>, files: &mut Vec<Found>) -> Result<(), Error> {
    for name in names(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            if above.len() < DEEPEST {
                above.push(name);
                collect(&path, above, files)?;
                above.pop();
            }
        } else if let Some(stem) = nifti_stem(&name) {
            let components = above.iter().cloned().chain([stem.to_owned()]).collect();
            files.push(Found { path, components });
        }
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let refused = |reason| Error::Read { path: folder.to_owned(), reason };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        // A name that is not UTF-8 matches no pattern.
        if let Ok(name) = entry.map_err(refused)?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort_by(|a, b| natural_order(a, b));
    Ok(names)
}

/// A NIfTI file's name without its ending: `.nii`, or `.hdr` of a pair, packed or not, in letters of any case.
///
/// `None` if the name is none that files are found by in folders; of a pair the header stands for the volume.
///
/// # Examples
///
/// ```
/// use duomo_data::nifti_stem;
///
/// assert_eq!(nifti_stem("patient1.LGE.NII.GZ"), Some("patient1.LGE"));
/// assert_eq!(nifti_stem("patient1.hdr.gz"), Some("patient1"));
/// assert_eq!(nifti_stem("patient1.img"), None);
/// ```
pub fn nifti_stem(name: &str) -> Option<&str> {
    ENDINGS.iter().find_map(|ending| {
        let cut = name.len().checked_sub(ending.len()).filter(|&cut| name.is_char_boundary(cut))?;
        name[cut..].eq_ignore_ascii_case(ending).then_some(&name[..cut])
    })
}
