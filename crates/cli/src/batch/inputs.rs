//! Which images are meant: files, folders, lists and patterns.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use duomo_data::files_of_volume;

use crate::console;
use crate::exit::Fault;
use crate::scores::stem;

/// An image and the name of its case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input {
    /// The file's name without its NIfTI extension.
    pub case: String,
    /// The file, which need not exist: only reading it shows what it is worth.
    pub path: PathBuf,
}

/// Every image meant, once each, by name.
///
/// A folder stands for the NIfTI files right in it; a path that does not exist and holds `*`, `?` or
/// `[` for the files that it matches (`**` for any folders). A list holds such paths, one a line; lines
/// that are empty or begin with `#` are skipped, and `-` is standard input. Of a `.hdr`/`.img` pair either name
/// means the image.
///
/// # Errors
///
/// A folder or list that cannot be read, a pattern that nothing matches, two files of one name, or no
/// file at all.
pub(crate) fn collect(paths: &[PathBuf], lists: &[PathBuf]) -> Result<Vec<Input>> {
    let mut files = Vec::new();
    for path in paths {
        expand(path, &mut files)?;
    }
    for list in lists {
        let text = read_list(list)?;
        // Editors put a byte order mark before what they call UTF-8.
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                expand(Path::new(line), &mut files)?;
            }
        }
    }
    if files.is_empty() {
        return Err(Fault::Data("the inputs hold no NIfTI file (.nii.gz, .nii)".into()).into());
    }
    let mut inputs = BTreeMap::<String, Input>::new();
    for path in files {
        let path = files_of_volume(&path).swap_remove(0);
        let input = Input { case: case_of(&path)?, path };
        match inputs.get(&input.case) {
            Some(other) if is_same_file(&other.path, &input.path) => {}
            Some(other) => {
                return Err(Fault::Usage(format!(
                    "two inputs are called {}: {} and {}; predict them into two folders",
                    input.case,
                    other.path.display(),
                    input.path.display()
                ))
                .into());
            }
            None => {
                inputs.insert(input.case.clone(), input);
            }
        }
    }
    Ok(inputs.into_values().collect())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| path.canonicalize().ok();
    one == other || place(one).is_some_and(|one| place(other) == Some(one))
}

fn expand(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        let entries =
            fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.to_str().is_none() {
                console::warn(&format!("{} is left out: its name is not UTF-8", path.display()));
            } else if stem(&path).is_some_and(|stem| !stem.starts_with('.')) {
                files.push(path);
            }
        }
        return Ok(());
    }
    let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']) && !path.exists());
    let Some(pattern) = pattern else {
        files.push(path.to_owned());
        return Ok(());
    };
    let matches = glob::glob(pattern)
        .map_err(|error| Fault::Usage(format!("`{pattern}` is no pattern: {error}")))?;
    let before = files.len();
    for path in matches {
        let path = path.with_context(|| format!("cannot search {pattern}"))?;
        if path.is_file() && stem(&files_of_volume(&path)[0]).is_some() {
            files.push(path);
        }
    }
    if files.len() == before {
        let message = format!("no NIfTI file (.nii.gz, .nii) matches `{pattern}`");
        return Err(Fault::Usage(message).into());
    }
    Ok(())
}

fn read_list(list: &Path) -> Result<String> {
    let mut text = String::new();
    let read = if list == Path::new("-") {
        io::stdin().lock().read_to_string(&mut text)
    } else {
        fs::File::open(list).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Fault::Data(format!("cannot read the list {}: {error}", list.display())))?;
    Ok(text)
}

/// A file of another kind keeps its whole name: reading it will say what it is.
fn case_of(path: &Path) -> Result<String> {
    let name = || path.file_name()?.to_str().map(str::to_owned);
    stem(path).or_else(name).filter(|_| path.to_str().is_some()).ok_or_else(|| {
        Fault::Usage(format!("{} does not name a file in UTF-8", path.display())).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn cases(inputs: &[Input]) -> Vec<&str> {
        inputs.iter().map(|input| &input.case[..]).collect()
    }

    #[test]
    fn a_folder_stands_for_the_images_in_it() {
        let folder = folder(&["b.nii.gz", "a.nii", "notes.txt", ".a.nii.gz.1-0.tmp", "deep/c.nii"]);
        for name in ["D.NII.GZ", "e.hdr.gz", "e.img.gz"] {
            fs::write(folder.path().join(name), "").unwrap();
        }

        let inputs = collect(&[folder.path().to_owned()], &[]).unwrap();

        assert_eq!(cases(&inputs), ["D", "a", "b", "e"]);
    }

    #[test]
    fn both_halves_of_a_pair_are_one_case() {
        let folder = folder(&["a.hdr", "a.img", "lone.img"]);
        let path = |name: &str| folder.path().join(name);

        let inputs = collect(&[path("a.hdr"), path("a.img"), path("lone.img")], &[]).unwrap();
        let by_pattern = collect(&[path("*.img")], &[]).unwrap();

        assert_eq!(cases(&inputs), ["a", "lone.img"]);
        assert_eq!(by_pattern, [Input { case: "a".into(), path: path("a.hdr") }]);
    }

    #[test]
    fn a_file_under_two_spellings_counts_once() {
        let folder = folder(&["a.nii", "deep/b.nii"]);
        let path = |name: &str| folder.path().join(name);

        let inputs =
            collect(&[path("a.nii"), path("deep/../a.nii"), path("./a.nii")], &[]).unwrap();

        assert_eq!(inputs, [Input { case: "a".into(), path: path("a.nii") }]);
    }

    #[test]
    fn patterns_reach_into_folders() {
        let folder = folder(&["p1/LGE.txt", "p1/p1_LGE.nii.gz", "p2/x/p2_LGE.nii", "p2/p2_C0.nii"]);

        let inputs = collect(&[folder.path().join("**/*_LGE*")], &[]).unwrap();
        let nothing = collect(&[folder.path().join("*_T2*")], &[]).unwrap_err();

        assert_eq!(cases(&inputs), ["p1_LGE", "p2_LGE"]);
        assert!(nothing.to_string().contains("_T2*"), "{nothing}");
        assert_eq!(crate::exit::code_of(&nothing), 2);
    }

    #[test]
    fn a_file_that_exists_is_no_pattern() {
        let folder = folder(&["a[1].nii", "a1.nii"]);

        let inputs = collect(&[folder.path().join("a[1].nii")], &[]).unwrap();

        assert_eq!(cases(&inputs), ["a[1]"]);
    }

    #[test]
    fn lists_hold_a_path_a_line_and_missing_files_stay_in() {
        let folder = folder(&["a.nii"]);
        let (a, list) = (folder.path().join("a.nii"), folder.path().join("list.txt"));
        let text =
            format!("\u{feff}# ours\n\n {} \r\nno/such/b.nii.gz\nno/such/scan.dcm\n", a.display());
        fs::write(&list, text).unwrap();

        let inputs = collect(&[a], &[list]).unwrap();

        assert_eq!(cases(&inputs), ["a", "b", "scan.dcm"]);
    }

    #[test]
    fn two_inputs_of_one_name_are_refused() {
        let error = collect(&["x/a.nii.gz", "y/a.nii"].map(PathBuf::from), &[]).unwrap_err();

        let text = "two inputs are called a: x/a.nii.gz and y/a.nii";
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(crate::exit::code_of(&error), 2);
    }
}
