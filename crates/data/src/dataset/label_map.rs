//! Values in label maps against class indices.

use std::collections::BTreeMap;
use std::path::Path;

use super::{LabelClass, UnknownLabels};
use crate::{Error, Labels};

/// The translation between values in label maps and class indices.
///
/// Class 0 is the background and has value 0. A class may have several values.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMap {
    /// Values of class 1, 2, …; the first is the one to write.
    classes: Vec<Vec<u16>>,
    unknown: UnknownLabels,
}

impl LabelMap {
    /// Returns the map of these classes; class index = position + 1.
    ///
    /// # Panics
    ///
    /// If a class has no value or there are more than 255 classes.
    pub fn new(classes: &[LabelClass], unknown: UnknownLabels) -> Self {
        assert!(classes.len() <= 255, "class indices are bytes, got {} classes", classes.len());
        assert!(classes.iter().all(|class| !class.values.is_empty()), "every class has a value");
        Self { classes: classes.iter().map(|class| class.values.clone()).collect(), unknown }
    }

    /// Returns the class index of every voxel, on the grid of `labels`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownLabels`] if values occur that no class names and they are not to become
    /// background; `path` is only for that message.
    pub fn classes(&self, labels: &Labels, path: &Path) -> Result<Vec<u8>, Error> {
        let class_of = self.class_of_value();
        let mut unknown = BTreeMap::<u16, usize>::new();
        let class = |value: u16| {
            class_of[usize::from(value)].unwrap_or_else(|| {
                *unknown.entry(value).or_default() += 1;
                0
            })
        };
        let classes = labels.values.map(class);
        if self.unknown == UnknownLabels::Background || unknown.is_empty() {
            return Ok(classes);
        }
        Err(Error::UnknownLabels {
            path: path.to_owned(),
            found: list(unknown.into_iter().map(counted)),
            known: list(self.classes.iter().flatten().map(u16::to_string)),
        })
    }

    /// Returns the values to write for class indices: each class's first.
    ///
    /// # Panics
    ///
    /// If an index has no class.
    pub fn values(&self, classes: &[u8]) -> Vec<u16> {
        let value_of: Vec<u16> =
            std::iter::once(0).chain(self.classes.iter().map(|values| values[0])).collect();
        classes.iter().map(|&class| value_of[usize::from(class)]).collect()
    }

    /// One entry per value that a label map can hold.
    fn class_of_value(&self) -> Vec<Option<u8>> {
        let mut class_of = vec![None; usize::from(u16::MAX) + 1];
        class_of[0] = Some(0);
        for (class, values) in (1..).zip(&self.classes) {
            for &value in values {
                class_of[usize::from(value)] = Some(class);
            }
        }
        class_of
    }
}

fn counted((value, voxels): (u16, usize)) -> String {
    format!("{value} in {voxels} {}", if voxels == 1 { "voxel" } else { "voxels" })
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
