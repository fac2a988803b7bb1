//! What a data set is: its modalities and file patterns, its classes, and how slices are cut.
//!
//! A data set is a TOML file (`datasets/*.toml` are built in) or a folder in nnU-Net's layout.

mod label_map;
mod nnunet;
mod parse;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use label_map::LabelMap;

use crate::Error;
use crate::prepare::{GeometryCheck, LabelResampling, Plane, Preparation};

/// A data set as its TOML file describes it.
///
/// # Examples
///
/// ```
/// let dataset = duomo_data::Dataset::load("mscmr")?;
/// assert_eq!(dataset.class_names(), ["LV", "myo", "RV"]);
/// assert_eq!(dataset.modality_names(), ["LGE", "bSSFP"]);
/// # Ok::<(), duomo_data::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Short name, used in folders and tables.
    pub name: String,
    /// Full title, for reports.
    pub title: String,
    /// How to come by the data, in one line; shown when nothing is found.
    #[serde(default)]
    pub obtain: String,
    /// Which way slices are cut.
    #[serde(default)]
    pub plane: Plane,
    /// Side of the square cut from every slice, in pixels.
    pub crop: usize,
    /// Edge of a pixel after in-plane resampling, in millimetres; none keeps each file's own grid.
    #[serde(default)]
    pub spacing_mm: Option<f64>,
    /// How label maps follow an in-plane resampling.
    #[serde(default)]
    pub label_resampling: LabelResampling,
    /// Share of each volume's brightest voxels that is cut down to the rest, in percent.
    #[serde(default)]
    pub clip_top_percent: Option<f64>,
    /// Whether an image and its labels must lie at the same place.
    #[serde(default)]
    pub geometry: GeometryCheck,
    /// Distance between corresponding volume corners up to which two grids count as one.
    #[serde(default = "default_tolerance_mm")]
    pub geometry_tolerance_mm: f64,
    /// What becomes of label values that no class names.
    #[serde(default)]
    pub unknown_labels: UnknownLabels,
    /// Modalities taken when the user names none; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_modalities: Option<Vec<String>>,
    /// Foreground classes; class index = position + 1.
    pub labels: Vec<LabelClass>,
    /// The selected modalities; modality index = position.
    pub modalities: Vec<ModalityFiles>,
    /// Modalities that the file lists and nobody selected.
    #[serde(skip)]
    pub(crate) unselected: Vec<ModalityFiles>,
}

/// A foreground class and the values that stand for it in label maps.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LabelClass {
    /// Name in tables.
    pub name: String,
    /// Values in label maps; predictions are written with the first.
    pub values: Vec<u16>,
    /// Which part of the heart it is, where figures are to be derived from its volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// Parts of the heart whose volume means something by itself.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Blood in the left ventricle.
    LvCavity,
    /// Muscle of the left ventricle.
    LvMyocardium,
    /// Blood in the right ventricle.
    RvCavity,
}

/// What becomes of label values that no class names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownLabels {
    /// The label map is refused, with values and counts.
    #[default]
    Error,
    /// They become background.
    Background,
}

/// How to recognise one modality's files.
///
/// A pattern is matched, ignoring case, with the end of a file's path below the data folder
/// without its NIfTI extension, so it holds at any depth; a pattern with `/` also fixes the names
/// of the folders right above. `*` stands for any characters, `{modality}` for the name or an
/// alias, and `{patient}` for what identifies the patient.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModalityFiles {
    /// Name of the modality.
    pub name: String,
    /// Other spellings in file names and on the command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Put before every patient's name, for sets that number unrelated patients alike.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub patient_prefix: String,
    /// If not empty, only these patients (without the prefix) have this modality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patients: Vec<String>,
    /// Patterns of images.
    pub images: Vec<String>,
    /// Patterns of label maps.
    pub labels: Vec<String>,
}

impl Dataset {
    /// Returns the names of the foreground classes; class index = position + 1.
    pub fn class_names(&self) -> Vec<&str> {
        self.labels.iter().map(|class| class.name.as_str()).collect()
    }

    /// Returns the number of classes, background included.
    pub fn classes(&self) -> usize {
        self.labels.len() + 1
    }

    /// Returns the names of the selected modalities; modality index = position.
    pub fn modality_names(&self) -> Vec<&str> {
        self.modalities.iter().map(|modality| modality.name.as_str()).collect()
    }

    /// Returns the same data set with other modalities selected, in the order given.
    ///
    /// Names and aliases are compared ignoring case.
    ///
    /// # Errors
    ///
    /// - [`Error::UnknownModality`] if the data set has no modality of that name
    /// - [`Error::InvalidDataset`] if none or the same one twice is named
    ///
    /// # Examples
    ///
    /// ```
    /// let dataset = duomo_data::Dataset::load("mscmr")?.with_modalities(&["T2", "C0"])?;
    /// assert_eq!(dataset.modality_names(), ["T2", "bSSFP"]);
    /// # Ok::<(), duomo_data::Error>(())
    /// ```
    pub fn with_modalities(mut self, names: &[&str]) -> Result<Self, Error> {
        let mut rest: Vec<ModalityFiles> = self.modalities.drain(..).collect();
        rest.append(&mut self.unselected);
        let known: Vec<String> = rest.iter().map(|modality| modality.name.clone()).collect();
        for name in names {
            if let Some(place) = rest.iter().position(|modality| modality.answers_to(name)) {
                self.modalities.push(rest.remove(place));
            } else if self.modalities.iter().any(|modality| modality.answers_to(name)) {
                return Err(self.invalid("modalities", format!("`{name}` is selected twice")));
            } else {
                let (given, dataset) = ((*name).to_owned(), self.name);
                return Err(Error::UnknownModality { given, dataset, known: known.join("`, `") });
            }
        }
        if self.modalities.is_empty() {
            return Err(self.invalid("modalities", "at least one must be selected".to_owned()));
        }
        self.unselected = rest;
        Ok(self)
    }

    /// Returns how volumes of this data set become slices.
    pub fn preparation(&self) -> Preparation {
        Preparation {
            plane: self.plane,
            crop: self.crop,
            spacing_mm: self.spacing_mm,
            label_resampling: self.label_resampling,
            clip_top_percent: self.clip_top_percent,
            geometry: self.geometry,
            geometry_tolerance_mm: self.geometry_tolerance_mm,
        }
    }

    /// Returns the translation between values in label maps and class indices.
    pub fn label_map(&self) -> LabelMap {
        LabelMap::new(&self.labels, self.unknown_labels)
    }

    fn invalid(&self, key: &str, problem: String) -> Error {
        Error::InvalidDataset { file: self.name.clone(), key: key.to_owned(), problem }
    }
}

impl ModalityFiles {
    /// Returns whether `name` is this modality's name or alias, ignoring case.
    pub fn answers_to(&self, name: &str) -> bool {
        self.spellings().any(|spelling| spelling.eq_ignore_ascii_case(name))
    }

    /// Returns what a pair of files may be called, for messages.
    pub(crate) fn examples(&self) -> String {
        let mut spelling = self.spellings().collect::<Vec<_>>().join("|");
        if !self.aliases.is_empty() {
            spelling = format!("({spelling})");
        }
        let example = |patterns: &[String]| patterns[0].replace("{modality}", &spelling);
        format!("`{}` with `{}`", example(&self.images), example(&self.labels))
    }

    /// Returns the name, then the aliases.
    pub(crate) fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

fn default_tolerance_mm() -> f64 {
    Preparation::TOLERANCE_MM
}
