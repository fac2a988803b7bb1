//! What the files of a case are called, and what lies beside them.
//!
//! Plain names are those of the images. BIDS names follow the chapter on derivatives of the Brain
//! Imaging Data Structure, 1.10.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use duomo_data::LabelClass;
use serde_json::{Value, json};

use crate::batch::Recipe;
use crate::console;
use crate::exit::Fault;

/// What validators of BIDS are told to ignore.
const MANIFESTS: &str = "manifest*.jsonl";

/// How files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Like their images.
    Plain,
    /// As a BIDS derivative.
    Bids,
}

impl Naming {
    /// Whether a case can be named so.
    ///
    /// # Errors
    ///
    /// A name of which nothing would be left.
    pub(super) fn check(self, case: &str) -> Result<()> {
        if self == Self::Bids && Entities::of(case).text == "sub-" {
            let text =
                format!("no BIDS subject can be made of `{case}`: it has no letter from A to Z");
            let remedy = " and no digit; rename the image, or leave --bids out";
            return Err(Fault::Usage(text + remedy).into());
        }
        Ok(())
    }

    /// The label map of a case, below the folder of predictions.
    pub(super) fn label_map(self, case: &str) -> PathBuf {
        match self {
            Self::Plain => format!("{case}.nii.gz").into(),
            Self::Bids => {
                let entities = Entities::of(case);
                entities.folder().join(format!("{}_dseg.nii.gz", entities.text))
            }
        }
    }

    /// The probabilities of one of the classes, below the folder of predictions.
    pub(super) fn probabilities(self, case: &str, class: usize, names: &[&str]) -> PathBuf {
        let name = letters_and_digits(names[class]);
        match self {
            Self::Plain => format!("probabilities/{case}_{class}-{name}.nii.gz").into(),
            Self::Bids => {
                let entities = Entities::of(case);
                let alike = |other: &&&str| letters_and_digits(other).eq_ignore_ascii_case(&name);
                let unique = !name.is_empty() && names.iter().filter(alike).count() == 1;
                let name = if unique { name } else { format!("{name}{class}") };
                let file = format!("{}_label-{name}_probseg.nii.gz", entities.text);
                entities.folder().join(file)
            }
        }
    }

    /// Writes what describes the whole folder.
    ///
    /// # Errors
    ///
    /// A folder that another data set describes already, or that cannot be written to.
    pub(super) fn describe(self, out: &Path, labels: &[LabelClass], recipe: &Recipe) -> Result<()> {
        if self == Self::Plain {
            return Ok(());
        }
        let path = out.join("dataset_description.json");
        if path.exists() && !is_by_duomo(&path) {
            return Err(Fault::Usage(format!(
                "{} describes a data set that duomo did not make, and --bids would replace it; give --out a folder \
                 of its own, such as {}",
                path.display(),
                out.join("derivatives/duomo").display()
            ))
            .into());
        }
        let models: Vec<&str> = recipe.models.iter().map(|model| &model.blake3[..]).collect();
        let description = json!({
            "Name": "Segmentations by Duomo",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{
                "Name": "Duomo",
                "Version": env!("CARGO_PKG_VERSION"),
                "Description": format!(
                    "modality {}, BLAKE3 of the model {}", recipe.modality, models.join(", ")
                ),
            }],
        });
        let description = serde_json::to_string_pretty(&description)? + "\n";
        console::write_file(&path, description.as_bytes())?;
        let mut table = String::from("index\tname\n0\tbackground\n");
        for label in labels {
            let name = label.name.replace(['\t', '\n'], " ");
            let _ = writeln!(table, "{}\t{name}", label.values[0]);
        }
        console::write_file(&out.join("dseg.tsv"), table.as_bytes())?;
        let path = out.join(".bidsignore");
        let ignored = fs::read_to_string(&path).unwrap_or_default();
        if ignored.lines().any(|line| line == MANIFESTS) {
            return Ok(());
        }
        let end = if ignored.is_empty() || ignored.ends_with('\n') { "" } else { "\n" };
        console::write_file(&path, format!("{ignored}{end}{MANIFESTS}\n").as_bytes())
    }
}

/// Whether a `dataset_description.json` says that Duomo made the folder.
fn is_by_duomo(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let description = serde_json::from_str::<Value>(&text).unwrap_or_default();
    let makers = description["GeneratedBy"].as_array();
    makers.is_some_and(|makers| makers.iter().any(|maker| maker["Name"] == "Duomo"))
}

/// The entities of a BIDS name, such as `sub-01_ses-2_run-1`.
struct Entities {
    text: String,
}

impl Entities {
    /// Those of a BIDS name without its suffix; a case of another name becomes a subject.
    fn of(case: &str) -> Self {
        let is_entity = |part: &&str| {
            part.split_once('-').is_some_and(|(key, value)| {
                [key, value]
                    .iter()
                    .all(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric()))
            })
        };
        let entities: Vec<&str> = case.split('_').filter(is_entity).collect();
        let text = if case.starts_with("sub-")
            && entities.first().is_some_and(|first| first.starts_with("sub-"))
        {
            entities.join("_")
        } else {
            format!("sub-{}", letters_and_digits(case))
        };
        Self { text }
    }

    fn folder(&self) -> PathBuf {
        let is_folder = |part: &&str| part.starts_with("sub-") || part.starts_with("ses-");
        self.text.split('_').filter(is_folder).collect::<PathBuf>().join("anat")
    }
}

fn letters_and_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bids_names_keep_their_entities_and_others_become_subjects() {
        let name = |case| Naming::Bids.label_map(case).to_str().unwrap().to_owned();

        assert_eq!(
            name("sub-01_ses-2_run-1_T1w"),
            "sub-01/ses-2/anat/sub-01_ses-2_run-1_dseg.nii.gz"
        );
        assert_eq!(name("patient1_LGE"), "sub-patient1LGE/anat/sub-patient1LGE_dseg.nii.gz");
        assert_eq!(name("sub-_x"), "sub-subx/anat/sub-subx_dseg.nii.gz");
        assert_eq!(
            Naming::Bids.probabilities("sub-01_cine", 1, &["background", "left LV"]),
            Path::new("sub-01/anat/sub-01_label-leftLV_probseg.nii.gz")
        );
    }

    #[test]
    fn a_name_of_which_bids_leaves_nothing_is_refused() {
        let error = Naming::Bids.check("üñï").unwrap_err();

        assert!(error.to_string().contains("`üñï`"), "{error}");
        assert_eq!(crate::exit::code_of(&error), 2);
        assert!(Naming::Bids.check("ü1").is_ok() && Naming::Plain.check("üñï").is_ok());
    }

    #[test]
    fn classes_whose_bids_names_are_alike_keep_files_of_their_own() {
        let names = ["background", "LV-wall", "lv wall", "心", "RV"];
        let file = |class| Naming::Bids.probabilities("sub-1", class, &names);

        for (class, label) in [(1, "LVwall1"), (2, "lvwall2"), (3, "3"), (4, "RV")] {
            let expected = format!("sub-1/anat/sub-1_label-{label}_probseg.nii.gz");
            assert_eq!(file(class), Path::new(&expected));
        }
    }

    #[test]
    fn plain_names_are_those_of_the_images() {
        assert_eq!(Naming::Plain.label_map("a.b"), Path::new("a.b.nii.gz"));
        assert_eq!(
            Naming::Plain.probabilities("a", 2, &["", "", "RV/x"]),
            Path::new("probabilities/a_2-RVx.nii.gz")
        );
    }

    #[test]
    fn a_bids_folder_describes_itself() {
        let folder = tempfile::tempdir().unwrap();
        let labels = duomo_data::Dataset::load("mscmr").unwrap().labels;

        Naming::Bids.describe(folder.path(), &labels, &Recipe::example("LGE")).unwrap();

        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("dseg.tsv"), "index\tname\n0\tbackground\n500\tLV\n200\tmyo\n600\tRV\n");
        let description: Value = serde_json::from_str(&read("dataset_description.json")).unwrap();
        assert_eq!(description["DatasetType"], "derivative");
        assert_eq!(description["GeneratedBy"][0]["Name"], "Duomo");
        assert_eq!(read(".bidsignore"), "manifest*.jsonl\n");
    }

    #[test]
    fn the_description_of_a_study_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [path, ignore] =
            ["dataset_description.json", ".bidsignore"].map(|name| folder.path().join(name));
        let describe = || Naming::Bids.describe(folder.path(), &[], &Recipe::example("LGE"));
        fs::write(&ignore, "extra/").unwrap();
        for study in
            ["{\"Name\": \"A study\"}", "{\"GeneratedBy\": [{\"Name\": \"fMRIPrep\"}]}", "no JSON"]
        {
            fs::write(&path, study).unwrap();

            let error = describe().unwrap_err();

            assert_eq!(crate::exit::code_of(&error), 2);
            assert!(error.to_string().ends_with("derivatives/duomo"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), study);
        }
        fs::remove_file(&path).unwrap();
        for _ in 0..2 {
            describe().unwrap();
            assert_eq!(fs::read_to_string(&ignore).unwrap(), "extra/\nmanifest*.jsonl\n");
        }
    }
}
