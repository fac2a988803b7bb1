//! Which label values are compared, and what they are called.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, anyhow};
use duomo_data::{Dataset, LabelClass, LabelMap, LabelValues, Labels, UnknownLabels};

use super::MEAN;
use crate::console;
use crate::exit::{Fault, usage};

/// More label values than this are taken for a grey-level image.
const CLASSES_MAX: usize = 255;

/// How label values become classes.
#[derive(Debug)]
pub(crate) enum Classes {
    /// Every value that occurs is a class of its own, 0 being the background.
    Found,
    /// Named classes.
    Named {
        /// In the order of class indices.
        classes: Vec<LabelClass>,
        /// From values to class indices.
        map: LabelMap,
        /// Values without a class that were mentioned already.
        mentioned: RefCell<BTreeSet<u16>>,
    },
}

/// Two label maps on class indices: 0 is the background, index `i` is the `i − 1`-th class.
#[derive(Debug)]
pub(crate) struct Indexed {
    /// `[D, H, W]` each: reference, prediction.
    pub maps: [Vec<u8>; 2],
    /// The label value of every class.
    pub values: Vec<u16>,
    /// The name of every class.
    pub names: Vec<String>,
}

impl Classes {
    /// Reads `--labels`: a data set by name or file, or a list such as `1=LV,2=myo,420+421=LAC`.
    ///
    /// # Errors
    ///
    /// A text that is neither, with an example.
    pub(crate) fn parse(spec: Option<&str>) -> Result<Self> {
        let Some(spec) = spec else { return Ok(Self::Found) };
        if !spec.starts_with(|first: char| first.is_ascii_digit()) {
            let dataset = Dataset::load(spec).map_err(|error| usage(&error.into()))?;
            return Ok(Self::named(dataset.label_map(), dataset.labels));
        }
        let classes = spec
            .split(',')
            .map(class)
            .collect::<Result<Vec<_>>>()
            .map_err(|error| usage(&error.context(format!("--labels {spec}"))))?;
        check(&classes).map_err(|problem| Fault::Usage(format!("--labels {spec}: {problem}")))?;
        Ok(Self::named(LabelMap::new(&classes, UnknownLabels::Background), classes))
    }

    fn named(map: LabelMap, classes: Vec<LabelClass>) -> Self {
        Self::Named { classes, map, mentioned: RefCell::default() }
    }

    /// Two label maps as class indices, reference first.
    ///
    /// # Errors
    ///
    /// A value that no class of a data set names; too many values for label maps.
    pub(crate) fn index(&self, maps: [(Labels, &Path); 2]) -> Result<Indexed> {
        let (values, indices) = match self {
            Self::Named { classes, map, mentioned } => {
                let values = classes.iter().map(|class| class.values[0]).collect();
                let [reference, prediction] = maps;
                let indices = |(labels, path): (Labels, &Path)| {
                    let indices = map.classes(&labels, path)?;
                    let unknown = unknown(classes, &labels.values, &mut mentioned.borrow_mut());
                    if !unknown.is_empty() {
                        console::warn(&format!(
                            "{}: no class has the labels {}, which count as background here and in \
                             all further cases",
                            path.display(),
                            unknown.join(", ")
                        ));
                    }
                    Ok::<_, anyhow::Error>(indices)
                };
                (values, [indices(reference)?, indices(prediction)?])
            }
            Self::Found => {
                let maps = maps.map(|(labels, _)| labels.values);
                let values = found(&maps)?;
                let mut index_of = vec![0; usize::from(u16::MAX) + 1];
                for (&value, index) in values.iter().zip(1..=u8::MAX) {
                    index_of[usize::from(value)] = index;
                }
                (values, maps.map(|map| map.into_bytes(|value| index_of[usize::from(value)])))
            }
        };
        let names = values.iter().map(|&value| self.name(value)).collect();
        Ok(Indexed { maps: indices, values, names })
    }

    /// The name of a class by its first value.
    pub(crate) fn name(&self, value: u16) -> String {
        let named = match self {
            Self::Found => None,
            Self::Named { classes, .. } => classes.iter().find(|class| class.values[0] == value),
        };
        named.map_or_else(|| value.to_string(), |class| class.name.clone())
    }
}

/// Refuses a list that no label map can hold or no table can tell apart.
fn check(classes: &[LabelClass]) -> Result<(), String> {
    if classes.len() > CLASSES_MAX {
        return Err(format!("{} classes, but there can be {CLASSES_MAX}", classes.len()));
    }
    let (mut values, mut names) = (BTreeSet::new(), BTreeSet::new());
    for value in classes.iter().flat_map(|class| &class.values) {
        if !values.insert(value) {
            return Err(format!("{value} stands twice"));
        }
    }
    for class in classes {
        if class.name.eq_ignore_ascii_case(MEAN) {
            return Err(format!("{MEAN} is what the mean over classes is called"));
        }
        if !names.insert(&class.name) {
            let name = &class.name;
            return Err(format!("two classes are called {name}; 1+2={name} makes one of them"));
        }
    }
    Ok(())
}

/// The values of a label map that no class has and nobody mentioned yet; they are mentioned now.
fn unknown(
    classes: &[LabelClass],
    values: &LabelValues,
    mentioned: &mut BTreeSet<u16>,
) -> Vec<String> {
    let has_class = |value: &u16| classes.iter().any(|class| class.values.contains(value));
    let unknown = values.distinct().into_iter().filter(|value| *value != 0 && !has_class(value));
    unknown.filter(|&value| mentioned.insert(value)).map(|value| value.to_string()).collect()
}

/// The values other than 0 that occur in either map, ascending.
fn found(maps: &[LabelValues; 2]) -> Result<Vec<u16>> {
    let values: BTreeSet<u16> = maps.iter().flat_map(LabelValues::distinct).collect();
    let values: Vec<u16> = values.into_iter().filter(|&value| value != 0).collect();
    if values.len() > CLASSES_MAX {
        return Err(Fault::Data(format!(
            "{} different labels occur, so one of the files looks like an image; give two label \
             maps, or --labels",
            values.len()
        ))
        .into());
    }
    Ok(values)
}

/// One entry of a list: `1`, `1=LV` or `420+421=LAC`.
fn class(entry: &str) -> Result<LabelClass> {
    let (values, name) = entry.split_once('=').unwrap_or((entry, entry));
    let value = |text: &str| match text.trim().parse::<u16>() {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(anyhow!("`{text}` is no label in 1..=65535; give a list such as 1=LV,2=myo")),
    };
    let values = values.split('+').map(value).collect::<Result<_>>()?;
    Ok(LabelClass { name: name.trim().to_owned(), values, role: None })
}

#[cfg(test)]
mod tests {
    use duomo_data::Geometry;

    use super::*;

    fn labels(values: &[u16]) -> Labels {
        let geometry = Geometry::from_spacing([1, 1, values.len()], [1.0; 3]);
        Labels { geometry, values: values.to_vec().into(), warnings: Vec::new() }
    }

    fn index(classes: &Classes, maps: [&[u16]; 2]) -> Result<Indexed> {
        classes.index(maps.map(|map| (labels(map), Path::new("a"))))
    }

    #[test]
    fn lists_name_and_merge_values() {
        let classes = Classes::parse(Some("500=LVC,420+421=LAC")).unwrap();

        let indexed = index(&classes, [&[0, 500, 421, 420, 9], &[0; 5]]).unwrap();

        assert_eq!(indexed.maps, [[0, 1, 2, 2, 0], [0; 5]]);
        assert_eq!(
            (indexed.values, indexed.names),
            (vec![500, 420], ["LVC", "LAC"].map(String::from).into())
        );
    }

    #[test]
    fn values_without_a_class_are_mentioned_once() {
        let classes = [LabelClass { name: "LV".to_owned(), values: vec![1, 2], role: None }];
        let mut mentioned = BTreeSet::new();
        let mut unknown =
            |values: &[u16]| unknown(&classes, &values.to_vec().into(), &mut mentioned);

        assert_eq!(unknown(&[0, 500, 2, 1, 200, 500]), ["200", "500"]);
        assert_eq!(unknown(&[200, 7]), ["7"]);
    }

    #[test]
    fn without_a_list_every_value_found_is_a_class() {
        let classes = Classes::parse(None).unwrap();

        let indexed = index(&classes, [&[0, 600, 200], &[0, 5, 200]]).unwrap();

        assert_eq!(indexed.values, [5, 200, 600]);
        assert_eq!(indexed.maps, [[0, 3, 2], [0, 1, 2]]);
        assert_eq!(classes.name(200), "200");
    }

    #[test]
    fn entries_that_are_no_labels_are_named() {
        let error = Classes::parse(Some("1=LV,0")).unwrap_err();

        assert_eq!(
            error.to_string(),
            "--labels 1=LV,0: `0` is no label in 1..=65535; give a list such as 1=LV,2=myo"
        );
        assert_eq!(crate::exit::code_of(&error), 2);
        let twice = Classes::parse(Some("1=LV,1=RV")).unwrap_err();
        assert_eq!(twice.to_string(), "--labels 1=LV,1=RV: 1 stands twice");
    }

    #[test]
    fn names_that_a_table_cannot_tell_apart_are_refused() {
        let same = Classes::parse(Some("1=LV,2=LV")).unwrap_err().to_string();
        let mean = Classes::parse(Some("1=Mean")).unwrap_err().to_string();

        assert_eq!(same, "--labels 1=LV,2=LV: two classes are called LV; 1+2=LV makes one of them");
        assert!(mean.ends_with("mean is what the mean over classes is called"), "{mean}");
    }

    #[test]
    fn more_classes_than_a_label_map_can_hold_are_refused() {
        let list =
            |count: u16| (1..=count).map(|value| value.to_string()).collect::<Vec<_>>().join(",");

        let error = Classes::parse(Some(&list(256))).unwrap_err();

        assert!(error.to_string().ends_with("256 classes, but there can be 255"), "{error}");
        assert_eq!(crate::exit::code_of(&error), 2);
        assert!(Classes::parse(Some(&list(255))).is_ok());
    }

    #[test]
    fn an_image_is_not_taken_for_a_label_map() {
        let image: Vec<u16> = (0..300).collect();

        let error = index(&Classes::Found, [&image, &image]).unwrap_err();

        assert!(error.to_string().starts_with("299 different labels occur"), "{error}");
    }
}
