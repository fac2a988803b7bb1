//! What is taken away from a label map after the network: strays that no anatomy explains.
//!
//! Components are sets of voxels connected across faces, on the grid of the case's own image.

mod learn;

use std::str::FromStr;

use duomo_data::{LabelClass, for_each_component};
use serde::{Deserialize, Serialize};

pub(crate) use learn::{Candidate, learn};

/// Which parts of a prediction are kept. The default keeps everything.
///
/// The rules are applied in this order: the whole foreground, then each class by itself.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PostProcessing {
    /// Of everything that is not background, taken together, only the largest component is kept.
    #[serde(default)]
    pub largest_foreground: bool,
    /// Rules for the classes 1, 2, …; classes beyond the end have none.
    #[serde(default)]
    pub classes: Vec<ClassRules>,
}

/// Rules for the components of one class.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClassRules {
    /// Only the largest component is kept.
    #[serde(default)]
    pub largest: bool,
    /// Smaller components, in cubic millimetres, become background; 0 keeps all.
    #[serde(default)]
    pub min_mm3: f64,
}

impl PostProcessing {
    /// Whether everything is kept.
    pub fn is_off(&self) -> bool {
        !self.largest_foreground && self.classes.iter().all(|rules| *rules == ClassRules::default())
    }

    /// The rules that this and another have in common: what either keeps is kept.
    #[must_use]
    pub fn in_common_with(&self, other: &Self) -> Self {
        let pairs = self.classes.iter().zip(&other.classes);
        Self {
            largest_foreground: self.largest_foreground && other.largest_foreground,
            classes: pairs
                .map(|(one, other)| ClassRules {
                    largest: one.largest && other.largest,
                    min_mm3: one.min_mm3.min(other.min_mm3),
                })
                .collect(),
        }
    }

    /// The rules in words, `none` if everything is kept.
    pub fn in_words(&self, labels: &[LabelClass]) -> String {
        let mut sentences = Vec::new();
        if self.largest_foreground {
            sentences.push("largest component of the foreground".to_owned());
        }
        for (label, rules) in labels.iter().zip(&self.classes) {
            if rules.largest {
                sentences.push(format!("largest component of {}", label.name));
            }
            if rules.min_mm3 > 0.0 {
                sentences
                    .push(format!("{} in parts of at least {} mm³", label.name, rules.min_mm3));
            }
        }
        if sentences.is_empty() { "none".to_owned() } else { sentences.join("; ") }
    }

    /// Makes background of everything that the rules do not keep.
    ///
    /// Of equally large components the one whose first voxel comes first is the largest.
    ///
    /// # Shapes and units
    ///
    /// - `classes`: class indices, `[D, H, W]` of `shape`
    /// - `voxel_mm3`: volume of a voxel
    ///
    /// # Panics
    ///
    /// If `classes` has another length.
    ///
    /// # Examples
    ///
    /// ```
    /// let rules: duomo_train::PostProcessing = "largest".parse::<duomo_train::CommonRules>()?.for_classes(2);
    /// let mut classes = [1, 1, 0, 1, 2];
    /// rules.apply(&mut classes, [1, 1, 5], 1.0);
    /// assert_eq!(classes, [1, 1, 0, 0, 2]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn apply(&self, classes: &mut [u8], shape: [usize; 3], voxel_mm3: f64) {
        if self.largest_foreground {
            let rules = ClassRules { largest: true, min_mm3: 0.0 };
            keep(classes, shape, voxel_mm3, rules, |class| class != 0);
        }
        for (class, &rules) in (1..).zip(&self.classes) {
            if rules != ClassRules::default() {
                keep(classes, shape, voxel_mm3, rules, |other| other == class);
            }
        }
    }
}

/// Clears the components, of the voxels that `belongs` to, that the rules do not keep.
fn keep(
    classes: &mut [u8],
    shape: [usize; 3],
    voxel_mm3: f64,
    rules: ClassRules,
    belongs: impl Fn(u8) -> bool,
) {
    let mask = classes.iter().map(|&class| belongs(class)).collect();
    let mut largest = Vec::new();
    let mut clear = |component: &[usize]| {
        for &voxel in component {
            classes[voxel] = 0;
        }
    };
    for_each_component(mask, shape, |component| {
        if (component.len() as f64) * voxel_mm3 < rules.min_mm3 {
            clear(&component);
        } else if rules.largest && component.len() > largest.len() {
            clear(&largest);
            largest = component;
        } else if rules.largest {
            clear(&component);
        }
    });
}

/// Rules that all classes have in common, as a user writes them: `largest`, `foreground` and
/// `min=MM3`, separated by commas.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CommonRules {
    /// As [`PostProcessing::largest_foreground`].
    pub foreground: bool,
    /// For every class.
    pub rules: ClassRules,
}

impl CommonRules {
    /// The rules, for so many foreground classes.
    pub fn for_classes(self, classes: usize) -> PostProcessing {
        PostProcessing { largest_foreground: self.foreground, classes: vec![self.rules; classes] }
    }
}

impl FromStr for CommonRules {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut common = Self::default();
        for rule in text.split(',') {
            match (rule, rule.strip_prefix("min=").map(str::parse::<f64>)) {
                ("largest", _) => common.rules.largest = true,
                ("foreground", _) => common.foreground = true,
                (_, Some(Ok(mm3))) if mm3 > 0.0 && mm3.is_finite() => common.rules.min_mm3 = mm3,
                _ => {
                    return Err(format!(
                        "`{rule}` is no rule; expected foreground, largest or min=MM3 (above 0), \
                         separated by commas"
                    ));
                }
            }
        }
        Ok(common)
    }
}

#[cfg(test)]
mod tests;
