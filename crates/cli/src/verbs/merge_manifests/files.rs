//! Which manifests are read, and where the merged one may be written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::batch::{Entry, FILE_NAME, is_manifest, manifests_in};
use crate::console;
use crate::exit::Fault;

/// The manifests that are meant; a folder stands for those in it.
///
/// # Errors
///
/// A folder that cannot be listed or holds none.
pub(super) fn manifest_paths(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for path in given {
        if !path.is_dir() {
            paths.push(path.clone());
            continue;
        }
        let cannot =
            |error| Fault::Data(format!("cannot list the folder {}: {error}", path.display()));
        let before = paths.len();
        paths.extend(manifests_in(path).map_err(cannot)?);
        if paths.len() == before {
            let text = format!("{} holds no manifest ({FILE_NAME})", path.display());
            let remedy = "; give the folder that `duomo predict --out` wrote to";
            return Err(Fault::Data(text + remedy).into());
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Refuses a file that would count as one more manifest of the folder that it lies in.
///
/// # Errors
///
/// It has the name of a manifest and lies beside others, or is one that is read.
pub(super) fn check_target(out: &Path, manifests: &[PathBuf]) -> Result<()> {
    let folder = out.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    let place = |path: &Path| path.canonicalize().ok();
    let is_target = |path: &Path| path.file_name() == out.file_name();
    let is_merged = |path: &PathBuf| place(path).is_some_and(|path| place(out) == Some(path));
    let others = manifests_in(folder).unwrap_or_default();
    if is_manifest(out)
        && (manifests.iter().any(is_merged) || others.iter().any(|other| !is_target(other)))
    {
        let text = format!(
            "--out {} would count as one more manifest of its folder, and every case as done twice; give it another \
             name, such as {}",
            out.display(),
            out.with_file_name("all.jsonl").display()
        );
        return Err(Fault::Usage(text).into());
    }
    Ok(())
}

/// Writes one manifest; files that do not lie below its folder get their whole path.
///
/// # Errors
///
/// A file that cannot be written.
pub(super) fn write_merged(path: &Path, merged: BTreeMap<String, (PathBuf, Entry)>) -> Result<()> {
    let mut text = String::new();
    for (manifest, mut entry) in merged.into_values() {
        if manifest.parent() != path.parent() {
            let sides = entry.probability_files.iter_mut().map(|side| &mut side.file);
            for file in sides.chain([&mut entry.output]) {
                *file = std::path::absolute(beside(&manifest, file))?;
            }
        }
        text.push_str(&serde_json::to_string(&entry)?);
        text.push('\n');
    }
    console::write_file(path, text.as_bytes())
}

/// The file that an entry of a manifest means.
pub(super) fn beside(manifest: &Path, file: &Path) -> PathBuf {
    manifest.parent().unwrap_or(Path::new("")).join(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_merged_manifest_is_none_of_the_folders_own() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let [shard, other] =
            ["manifest.0-of-1.jsonl", "manifest.jsonl"].map(|name| folder.path().join(name));
        fs::write(&shard, "").unwrap();
        let check = |out: &Path| check_target(out, std::slice::from_ref(&shard));

        for refused in [&shard, &other] {
            let error = check(refused).unwrap_err();
            assert!(error.to_string().ends_with("all.jsonl"), "{error}");
            assert_eq!(crate::exit::code_of(&error), 2);
        }
        assert!(check(&folder.path().join("all.jsonl")).is_ok());
        let alone = elsewhere.path().join("manifest.jsonl");
        assert!(check(&alone).is_ok());
        fs::write(&alone, "").unwrap();
        assert!(check(&alone).is_ok(), "the same call again");
    }
}
