//! `duomo check`: what a data folder holds, and everything that is wrong with it.

mod contact;
mod report;

use std::path::{Path, PathBuf};

use anyhow::Result;
use duomo_data::{Dataset, fix_headers, inspect};

use crate::console;
use crate::exit::{Fault, Outcome, usage};

/// Arguments of `duomo check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Data set: mscmr, mmwhs, a .toml file, or a folder in nnU-Net's layout.
    #[arg(value_name = "DATASET")]
    dataset: String,
    /// Folder with the data set's files, at any depth.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Modalities to check; those of the data set if left out.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    modalities: Vec<String>,
    /// Write corrected copies of files whose headers contradict their image or themselves; never in place, never over a file.
    #[arg(long, value_name = "OUT")]
    fix_headers: Option<PathBuf>,
    /// Write a picture per modality with one telling slice of each case and its outlines.
    #[arg(long, value_name = "DIR")]
    contact_sheet: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads every case as training would, and lists cases, files left out, faults and warnings.
///
/// # Errors
///
/// A data set that is not known (2), or a folder without a usable file (3).
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let dataset = Dataset::load(&arguments.dataset).map_err(|error| usage(&error.into()))?;
    let names: Vec<&str> = arguments.modalities.iter().map(String::as_str).collect();
    let dataset = if names.is_empty() { Ok(dataset) } else { dataset.with_modalities(&names) };
    let dataset = dataset.map_err(|error| usage(&error.into()))?;
    if let Some(out) = &arguments.fix_headers {
        outside(out, &arguments.data)?;
    }
    let inspection = inspect(&dataset, &arguments.data)?;
    let mut report = report::Report::new(&dataset, &arguments.data, &inspection);
    if let Some(out) = &arguments.fix_headers {
        report.fixed = fix_headers(&inspection, &arguments.data, out)?;
    }
    if let Some(folder) = &arguments.contact_sheet {
        report.contact_sheets = contact::write(&dataset, &inspection, folder)?;
    }
    if arguments.json {
        console::print_json(&report, "-")?;
    } else {
        console::print(&report.text())?;
    }
    Ok(if report.faults.is_empty() { Outcome::Done } else { Outcome::FaultsFound })
}

/// Copies inside the data folder would be found as second files of the same patients.
fn outside(out: &Path, data: &Path) -> Result<()> {
    if resolved(out).starts_with(resolved(data)) {
        let message = format!(
            "--fix-headers {} lies inside the data folder; give a folder elsewhere",
            out.display()
        );
        return Err(Fault::Usage(message).into());
    }
    Ok(())
}

/// A path from the root without links, of which only the beginning need exist.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for beginning in absolute.ancestors() {
        if let Ok(mut resolved) = beginning.canonicalize() {
            for part in absolute.strip_prefix(beginning).unwrap_or(Path::new("")) {
                if part == ".." {
                    resolved.pop();
                } else {
                    resolved.push(part);
                }
            }
            return resolved;
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn copies_inside_the_data_folder_are_refused_whatever_it_is_called() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir_all(path("data/deep")).unwrap();
        std::os::unix::fs::symlink(path("data"), path("link")).unwrap();

        let cases =
            [("data/fixed", "link"), ("link/fixed", "data"), ("new/../data/deep/x", "data")];
        for (out, data) in cases {
            let error = outside(&path(out), &path(data)).unwrap_err();
            assert_eq!(crate::exit::code_of(&error), 2, "{out} {data}");
        }
        for (out, data) in [("fixed", "data"), ("data2", "link"), ("link/../fixed", "data")] {
            assert!(outside(&path(out), &path(data)).is_ok(), "{out} {data}");
        }
    }
}
