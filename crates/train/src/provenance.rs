//! Where a run comes from: program, machine and the bytes of its data.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use duomo_data::{Case, files_of_volume};
use rayon::prelude::*;
use serde::Serialize;

/// What built and ran a training, for `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Program {
    /// Version of Duomo.
    pub version: &'static str,
    /// Commit of its source tree, or `unknown`.
    pub commit: &'static str,
    /// Operating system and processor architecture.
    pub platform: String,
    /// Threads that arithmetic runs on.
    pub threads: usize,
}

impl Program {
    /// The running program.
    pub fn current() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("DUOMO_COMMIT"),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            threads: rayon::current_num_threads(),
        }
    }
}

/// BLAKE3 digest of every image and label file, both halves of pairs, in the order of the cases, with the path below
/// `root`.
///
/// Moving the folder does not change it; renaming, editing or adding a file does.
///
/// # Errors
///
/// A file that cannot be read.
pub fn data_hash(root: &Path, cases: &[Case]) -> Result<String> {
    let volumes = cases
        .iter()
        .flat_map(|case| std::iter::once(case.image.as_path()).chain(case.labels.as_deref()));
    let files: Vec<PathBuf> = volumes.flat_map(files_of_volume).collect();
    let digests = files.par_iter().map(|path| {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(blake3::hash(&bytes))
    });
    let digests: Vec<_> = digests.collect::<Result<_>>()?;
    let mut whole = blake3::Hasher::new();
    for (path, digest) in files.iter().zip(digests) {
        let below = path.strip_prefix(root).unwrap_or(path);
        whole.update(below.as_os_str().as_encoded_bytes());
        whole.update(digest.as_bytes());
    }
    Ok(whole.finalize().to_hex().to_string())
}

/// The name of this machine, or `an unknown host`.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    let name = name.or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map_or_else(|| "an unknown host".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_of_a_pair_are_data_and_single_files_have_the_digest_they_always_had() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let hash = |image: &str| {
            let case = Case {
                patient: "1".to_owned(),
                modality: 0,
                image: at(image),
                labels: Some(at("labels.nii")),
            };
            data_hash(folder.path(), &[case]).unwrap()
        };
        for (name, bytes) in
            [("a.hdr", "head"), ("a.img", "voxels"), ("b.nii", "one"), ("labels.nii", "two")]
        {
            std::fs::write(at(name), bytes).unwrap();
        }

        let before = hash("a.hdr");
        std::fs::write(at("a.img"), "other voxels").unwrap();
        assert_ne!(hash("a.hdr"), before);

        let mut whole = blake3::Hasher::new();
        for (name, bytes) in [("b.nii", "one"), ("labels.nii", "two")] {
            whole.update(name.as_bytes());
            whole.update(blake3::hash(bytes.as_bytes()).as_bytes());
        }
        assert_eq!(hash("b.nii"), whole.finalize().to_hex().to_string());
    }
}
