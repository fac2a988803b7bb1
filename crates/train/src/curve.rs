//! A run's learning curve, read back from its log.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::gradients::GradientNorms;

/// What `metrics.jsonl` says of a run's course.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LearningCurve {
    /// Step and total loss (Eq. 5).
    pub loss: Vec<(u64, f64)>,
    /// Modality, and step and validation Dice where it is defined.
    pub validation: Vec<(String, Vec<(u64, f64)>)>,
    /// Step and what pulled at the shared kernels then; empty where no transfer loss acts, and in
    /// runs of a version that did not measure it.
    pub gradients: Vec<(u64, GradientNorms)>,
}

/// One line of the log; of a step, of gradient norms or of a validation.
#[derive(Deserialize)]
struct Line {
    step: u64,
    total: Option<f64>,
    gradient: Option<GradientNorms>,
    #[serde(default)]
    validation_dice: Vec<(String, Option<f64>)>,
}

impl LearningCurve {
    /// Reads the log of the run in folder `root`.
    ///
    /// # Errors
    ///
    /// A log that is missing or damaged; the message names the line.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("metrics.jsonl");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut curve = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line: Line = serde_json::from_str(line)
                .with_context(|| format!("in line {number} of {}", path.display()))?;
            curve.loss.extend(line.total.map(|total| (line.step, total)));
            curve.gradients.extend(line.gradient.map(|norms| (line.step, norms)));
            for (modality, dice) in line.validation_dice {
                curve.add(modality, line.step, dice);
            }
        }
        Ok(curve)
    }

    /// Validation Dice of each modality at a step, where it is defined.
    pub fn validation_at(&self, step: u64) -> BTreeMap<&str, f64> {
        let at = |points: &[(u64, f64)]| points.iter().find(|point| point.0 == step).map(|p| p.1);
        let modalities = self.validation.iter();
        modalities.filter_map(|(name, points)| Some((&name[..], at(points)?))).collect()
    }

    fn add(&mut self, modality: String, step: u64, dice: Option<f64>) {
        let at = self.validation.iter().position(|(name, _)| *name == modality);
        let at = at.unwrap_or_else(|| {
            self.validation.push((modality, Vec::new()));
            self.validation.len() - 1
        });
        self.validation[at].1.extend(dice.map(|dice| (step, dice)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_each_kind_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let log = "{\"step\":1,\"gradient\":{\"rest\":4.0,\"transfer\":1.0,\"cosine\":-0.5}}\n\
                   {\"step\":1,\"total\":2.5}\n\
                   {\"step\":1,\"validation_dice\":[[\"CT\",0.5],[\"MR\",null]],\"score\":0.5}\n\
                   {\"step\":2,\"total\":2.0}\n";
        fs::write(folder.path().join("metrics.jsonl"), log).unwrap();

        let curve = LearningCurve::read(folder.path()).unwrap();

        assert_eq!(curve.loss, [(1, 2.5), (2, 2.0)]);
        assert_eq!(
            curve.validation,
            [("CT".to_owned(), vec![(1, 0.5)]), ("MR".to_owned(), Vec::new())]
        );
        let norms = GradientNorms { rest: 4.0, transfer: 1.0, cosine: Some(-0.5) };
        assert_eq!(curve.gradients, [(1, norms)]);
        assert_eq!(norms.ratio(), Some(0.25));
        assert_eq!(curve.validation_at(1), BTreeMap::from([("CT", 0.5)]));
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("metrics.jsonl"), "{\"step\":1}\n{\"st").unwrap();

        let error = LearningCurve::read(folder.path()).unwrap_err().to_string();

        assert!(error.starts_with("in line 2 of "), "{error}");
    }
}
