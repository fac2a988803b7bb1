//! `duomo merge-manifests`: proof that nothing was lost or done twice.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::batch::{Entry, Listing, Recipe, Status, collect};
use crate::console;
use crate::exit::{Fault, Outcome};
use crate::table::{Align, Table};
use files::{beside, check_target, manifest_paths, write_merged};

/// Arguments of `duomo merge-manifests`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "duomo merge-manifests <MANIFEST>... [--inputs <INPUT>...] [OPTIONS]")]
pub(crate) struct Arguments {
    /// Manifests of `duomo predict`, or folders of predictions that hold them; before --inputs.
    #[arg(required_unless_present = "inputs", value_name = "MANIFEST")]
    manifests: Vec<PathBuf>,
    /// Everything that was to be predicted: files, folders or quoted patterns, as for `predict`.
    #[arg(long, num_args = 1.., value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// The same as a text file with an input on each line; - is standard input.
    #[arg(long, value_name = "FILE")]
    list: Vec<PathBuf>,
    /// Write the newest entry of every case as one manifest.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Compares manifests with each other, with the inputs, and with the label maps on the disk.
///
/// # Errors
///
/// A manifest or list that cannot be read, or no entry at all where no inputs are given to miss one of.
/// What is missing, failed, done twice or damaged is no error:
/// it is listed, and the exit code is 4.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    if arguments.manifests.is_empty() {
        let text = "no manifest is given, for --inputs takes every path behind it: give manifests first, as in \
                    duomo merge-manifests labels --inputs scans";
        return Err(Fault::Usage(text.into()).into());
    }
    let paths = manifest_paths(&arguments.manifests)?;
    if let Some(out) = &arguments.out {
        check_target(out, &paths)?;
    }
    let mut listings = Vec::new();
    for path in paths {
        listings.push((path.clone(), Listing::read(&path)?));
    }
    let wanted = if arguments.inputs.is_empty() && arguments.list.is_empty() {
        None
    } else {
        let inputs = collect(&arguments.inputs, &arguments.list)?;
        Some(inputs.into_iter().map(|input| input.case).collect::<BTreeSet<_>>())
    };
    if wanted.is_none() && listings.iter().all(|(_, listing)| listing.entries.is_empty()) {
        let names = listings.iter().map(|(path, _)| path.display().to_string());
        let names = names.collect::<Vec<_>>().join(", ");
        let text =
            format!("{names}: no entry of `duomo predict` is in there, so nothing is proved");
        return Err(Fault::Data(text).into());
    }
    let (coverage, merged) = compare(listings, wanted.as_ref());
    if let Some(path) = &arguments.out {
        write_merged(path, merged)?;
    }
    if arguments.json {
        console::print_json(&coverage, "-")?;
    } else {
        console::print(&coverage.text())?;
    }
    Ok(if coverage.is_complete() { Outcome::Done } else { Outcome::SomeFailed })
}

/// What the manifests prove.
#[derive(Debug, PartialEq, Serialize)]
struct Coverage {
    schema: &'static str,
    manifests: Vec<PathBuf>,
    /// Cases that were to be predicted; none if the inputs were not given.
    wanted: Option<usize>,
    /// Cases with one whole label map.
    done: usize,
    /// Inputs that no manifest names.
    missing: Vec<String>,
    /// Cases that failed, with the reason.
    failed: Vec<Remark>,
    /// Cases that several manifests have done.
    done_twice: Vec<Remark>,
    /// Cases whose label map is not as it was written.
    damaged: Vec<Remark>,
    /// Cases that are no input.
    unexpected: Vec<String>,
    /// Recipes beyond the first: cases of other models, another modality or another arithmetic.
    other_recipe: Vec<Remark>,
    /// Lines of the manifests that are no entry.
    foreign_lines: usize,
}

#[derive(Debug, PartialEq, Serialize)]
struct Remark {
    case: String,
    reason: String,
}

/// Compares what manifests say, and returns the entry of every case that counts, with its manifest.
fn compare(
    listings: Vec<(PathBuf, Listing)>,
    wanted: Option<&BTreeSet<String>>,
) -> (Coverage, BTreeMap<String, (PathBuf, Entry)>) {
    let mut coverage = Coverage {
        schema: "duomo.coverage/1",
        manifests: listings.iter().map(|(path, _)| path.clone()).collect(),
        wanted: wanted.map(BTreeSet::len),
        done: 0,
        missing: Vec::new(),
        failed: Vec::new(),
        done_twice: Vec::new(),
        damaged: Vec::new(),
        unexpected: Vec::new(),
        other_recipe: Vec::new(),
        foreign_lines: listings.iter().map(|(_, listing)| listing.foreign_lines).sum(),
    };
    let mut merged = BTreeMap::<String, (PathBuf, Entry)>::new();
    for (manifest, listing) in listings {
        for (case, entry) in listing.entries {
            match merged.get_mut(&case) {
                None => {
                    merged.insert(case, (manifest.clone(), entry));
                }
                Some((first, other)) => match (other.status, entry.status) {
                    (Status::Done, Status::Done) => coverage.done_twice.push(Remark {
                        case,
                        reason: format!("in {} and {}", first.display(), manifest.display()),
                    }),
                    // What failed in one and was done in the other is done.
                    (Status::Failed, Status::Done) => {
                        (*first, *other) = (manifest.clone(), entry);
                    }
                    (_, Status::Failed) => {}
                },
            }
        }
    }
    let first = merged.values().next().map(|(_, entry)| entry.recipe.clone());
    for (case, (manifest, entry)) in &merged {
        coverage.judge(manifest, entry);
        if wanted.is_some_and(|wanted| !wanted.contains(case)) {
            coverage.unexpected.push(case.clone());
        }
        if first.as_ref().is_some_and(|first| first.digest() != entry.recipe.digest()) {
            let Recipe { models, modality, arithmetic, .. } = &entry.recipe;
            let models: Vec<String> =
                models.iter().map(|model| model.file.display().to_string()).collect();
            let models = models.join(", ");
            let reason = format!("modality {modality}, model {models}, arithmetic {arithmetic}");
            coverage.other_recipe.push(Remark { case: case.clone(), reason });
        }
    }
    let missing = wanted.into_iter().flatten().filter(|case| !merged.contains_key(*case));
    coverage.missing = missing.cloned().collect();
    (coverage, merged)
}

impl Coverage {
    /// Looks at a case's label map.
    fn judge(&mut self, manifest: &Path, entry: &Entry) {
        let case = entry.case.clone();
        if entry.status == Status::Failed {
            let reason = entry.error.clone().unwrap_or_default();
            self.failed.push(Remark { case, reason });
            return;
        }
        if entry.is_whole(manifest.parent().unwrap_or(Path::new(""))) {
            self.done += 1;
        } else {
            let path = beside(manifest, &entry.output);
            let state = if path.exists() { "or its probabilities changed" } else { "is gone" };
            let reason = format!("{} {state} since it was written", path.display());
            self.damaged.push(Remark { case, reason });
        }
    }

    /// Whether every case that was wanted has one whole label map by one recipe.
    fn is_complete(&self) -> bool {
        self.missing.is_empty()
            && self.failed.is_empty()
            && self.done_twice.is_empty()
            && self.damaged.is_empty()
            && self.unexpected.is_empty()
            && self.other_recipe.is_empty()
    }

    fn text(&self) -> String {
        let once = if self.is_complete() { ", each once" } else { "" };
        let mut text = match self.wanted {
            Some(wanted) => format!("{} of {wanted} cases are done{once}\n", self.done),
            None => format!(
                "{} cases are done{once}; --inputs would show whether any is missing\n",
                self.done
            ),
        };
        let mut table =
            Table::new(&[("case", Align::Left), ("state", Align::Left), ("detail", Align::Left)]);
        let mut add = |state: &str, case: &str, detail: &str| {
            table.push([case, state, detail].map(str::to_owned));
        };
        for case in &self.missing {
            add("missing", case, "no manifest names it");
        }
        for case in &self.unexpected {
            add("unexpected", case, "it is no input");
        }
        let lists = [
            ("failed", &self.failed),
            ("done twice", &self.done_twice),
            ("damaged", &self.damaged),
            ("other recipe", &self.other_recipe),
        ];
        for (state, remarks) in lists {
            for remark in remarks {
                add(state, &remark.case, &remark.reason);
            }
        }
        if !self.is_complete() {
            text.push('\n');
            text.push_str(&table.aligned());
        }
        if self.foreign_lines > 0 {
            let _ = writeln!(text, "\n{} lines are no entries", self.foreign_lines);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::batch::{FILE_NAME, FileRecord, SideFile};

    fn listing(entries: &[Entry]) -> Listing {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let lines = entries.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n");
        fs::write(&path, lines.collect::<String>()).unwrap();
        Listing::read(&path).unwrap()
    }

    fn entry(folder: &Path, case: &str, status: Status) -> Entry {
        let output = PathBuf::from(format!("{case}.nii.gz"));
        let recipe = Recipe::example("LGE");
        let mut entry = Entry::begin(case, Path::new("x.nii"), &output, &recipe);
        entry.status = status;
        match status {
            Status::Done => {
                let path = folder.join(output);
                fs::write(&path, case).unwrap();
                entry.output_file = FileRecord::of(&path).ok();
                let side = format!("{case}_1-LV.nii.gz");
                fs::write(folder.join(&side), case).unwrap();
                let record = FileRecord::of(&folder.join(&side)).unwrap();
                entry.probability_files = vec![SideFile { file: side.into(), record }];
            }
            Status::Failed => entry.error = Some("too short".into()),
        }
        entry
    }

    fn names(remarks: &[Remark]) -> Vec<&str> {
        remarks.iter().map(|remark| &remark.case[..]).collect()
    }

    #[test]
    fn every_kind_of_loss_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let [one, two] =
            ["manifest.0-of-2.jsonl", "manifest.1-of-2.jsonl"].map(|name| root.join(name));
        let of = |case: &str, status| entry(root, case, status);
        let mut other_model = of("g", Status::Done);
        other_model.recipe.modality = "T2".into();
        let first = vec![
            of("a", Status::Done),
            of("b", Status::Failed),
            of("c", Status::Done),
            of("d", Status::Done),
            of("e", Status::Failed),
        ];
        let second = vec![of("c", Status::Done), of("e", Status::Done), other_model];
        fs::remove_file(root.join("d.nii.gz")).unwrap();
        let wanted = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).into();

        let (coverage, merged) =
            compare(vec![(one, listing(&first)), (two, listing(&second))], Some(&wanted));

        assert_eq!(coverage.missing, ["f"]);
        assert_eq!(names(&coverage.failed), ["b"]);
        assert_eq!(names(&coverage.done_twice), ["c"]);
        assert_eq!(names(&coverage.damaged), ["d"]);
        assert_eq!(coverage.unexpected, ["g"]);
        assert_eq!(names(&coverage.other_recipe), ["g"]);
        assert_eq!((coverage.done, merged.len()), (4, 6), "a, c, e and g are whole");
        assert_eq!(merged["e"].1.status, Status::Done);
        assert!(!coverage.is_complete());
        let text = coverage.text();
        assert!(text.starts_with("4 of 6 cases are done\n"), "{text}");
        assert!(text.contains("b     failed        too short"), "{text}");
    }

    #[test]
    fn nothing_is_proved_by_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let error = manifest_paths(&[folder.path().to_owned()]).unwrap_err();
        assert!(error.to_string().contains("holds no manifest (manifest.jsonl)"), "{error}");
        assert_eq!(crate::exit::code_of(&error), 3);

        let empty = folder.path().join(FILE_NAME);
        fs::write(&empty, "").unwrap();
        let arguments = Arguments {
            manifests: vec![empty],
            inputs: vec![],
            list: vec![],
            out: None,
            json: false,
        };
        let error = run(&arguments).unwrap_err();
        assert!(error.to_string().ends_with("so nothing is proved"), "{error}");
    }

    #[test]
    fn shards_that_cover_the_inputs_are_complete() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let shards =
            ["a", "b"].map(|case| (root.join(case), listing(&[entry(root, case, Status::Done)])));
        let wanted = ["a", "b"].map(str::to_owned).into();

        let (coverage, merged) = compare(shards.into(), Some(&wanted));
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().join("all.jsonl");
        write_merged(&path, merged).unwrap();
        let again = vec![(path.clone(), Listing::read(&path).unwrap())];

        assert!(coverage.is_complete(), "{coverage:?}");
        assert_eq!(coverage.text(), "2 of 2 cases are done, each once\n");
        assert!(compare(again, Some(&wanted)).0.is_complete(), "label maps are found from there");
    }
}
