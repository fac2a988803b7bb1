//! From TOML text to a checked data set.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Dataset, ModalityFiles};
use crate::Error;
use crate::discover::Pattern;

/// The data sets that the program knows by name.
const BUILT_IN: [(&str, &str); 2] = [
    ("mscmr", include_str!("../../../../datasets/mscmr.toml")),
    ("mmwhs", include_str!("../../../../datasets/mmwhs.toml")),
];

impl Dataset {
    /// Returns a data set by its name or file, with its default modalities selected.
    ///
    /// `mscmr` and `mmwhs` are built in; anything else is the path of a TOML file like
    /// `datasets/mscmr.toml`, or of a folder in nnU-Net's layout (see [`Dataset::from_nnunet`]).
    ///
    /// # Errors
    ///
    /// - [`Error::UnknownDataset`] if it is neither a known name nor a path
    /// - [`Error::ParseDataset`] naming file, line and key if the text is not such a file
    /// - [`Error::InvalidDataset`] if its values contradict each other
    pub fn load(name_or_path: &str) -> Result<Self, Error> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(text, &format!("datasets/{name}.toml"));
        }
        let path = Path::new(name_or_path);
        if path.is_dir() && path.join("dataset.json").exists() {
            return Self::from_nnunet(path);
        }
        if path.is_dir() || !path.exists() {
            let known = BUILT_IN.map(|(name, _)| name).join("`, `");
            return Err(Error::UnknownDataset { given: name_or_path.to_owned(), known });
        }
        let text = std::fs::read_to_string(path)
            .map_err(|reason| Error::Read { path: path.to_owned(), reason })?;
        Self::parse(&text, name_or_path)
    }

    /// Returns the data set that a TOML text describes; `file` is only for messages.
    ///
    /// # Errors
    ///
    /// [`Error::ParseDataset`] and [`Error::InvalidDataset`], as [`Dataset::load`].
    pub fn parse(text: &str, file: &str) -> Result<Self, Error> {
        let dataset: Self =
            toml::from_str(text).map_err(|error| parse_error(text, file, &error))?;
        dataset.check().map_err(|(key, problem)| Error::InvalidDataset {
            file: file.to_owned(),
            key: key.to_owned(),
            problem,
        })?;
        match dataset.default_modalities.clone() {
            None => Ok(dataset),
            Some(names) => {
                dataset.with_modalities(&names.iter().map(String::as_str).collect::<Vec<_>>())
            }
        }
    }

    /// Returns whether every value can be, as [`Dataset::load`] has found for what it returns.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidDataset`] naming data set and key.
    pub fn validate(&self) -> Result<(), Error> {
        self.check().map_err(|(key, problem)| self.invalid(key, problem))
    }

    /// Returns the first key whose value cannot be, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.name.is_empty() || self.name.contains(['/', '\\']) {
            return Err(("name", format!("`{}` cannot name a folder", self.name)));
        }
        self.preparation().check()?;
        self.check_labels().map_err(|problem| ("labels", problem))?;
        self.check_modalities().map_err(|problem| ("modalities", problem))
    }

    fn check_labels(&self) -> Result<(), String> {
        if self.labels.is_empty() || self.labels.len() > 255 {
            return Err(format!("expected 1 to 255 classes, got {}", self.labels.len()));
        }
        let (mut names, mut values) = (BTreeSet::new(), BTreeSet::from([0]));
        for class in &self.labels {
            if !names.insert(&class.name) {
                return Err(format!("class `{}` is listed twice", class.name));
            }
            if class.name.eq_ignore_ascii_case("mean") {
                let problem = "stands for the mean over classes in tables; name it otherwise";
                return Err(format!("class `{}` {problem}", class.name));
            }
            if class.values.is_empty() {
                return Err(format!("class `{}` has no values", class.name));
            }
            if class.values.contains(&0) {
                return Err(format!("class `{}` claims value 0, the background's", class.name));
            }
            if let Some(value) = class.values.iter().find(|&&value| !values.insert(value)) {
                return Err(format!("value {value} of class `{}` is listed twice", class.name));
            }
        }
        Ok(())
    }

    fn check_modalities(&self) -> Result<(), String> {
        if self.modalities.is_empty() {
            return Err("expected at least one modality".to_owned());
        }
        let mut spellings = BTreeSet::new();
        for modality in &self.modalities {
            check_patterns(modality)?;
            for spelling in modality.spellings() {
                if spelling.is_empty() || !spellings.insert(spelling.to_ascii_lowercase()) {
                    return Err(format!("name or alias `{spelling}` is empty or listed twice"));
                }
            }
        }
        Ok(())
    }
}

fn check_patterns(modality: &ModalityFiles) -> Result<(), String> {
    for (key, patterns) in [("images", &modality.images), ("labels", &modality.labels)] {
        if patterns.is_empty() {
            return Err(format!("`{}` has no patterns under `{key}`", modality.name));
        }
        for pattern in patterns {
            Pattern::new(pattern, &modality.name).map_err(|problem| {
                format!("pattern `{pattern}` of `{}` {problem}", modality.name)
            })?;
        }
    }
    Ok(())
}

/// Adds file, line and the line's text, which holds the key, to what `toml` says.
fn parse_error(text: &str, file: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.get(..start).unwrap_or_default().matches('\n').count();
    Error::ParseDataset {
        file: file.to_owned(),
        line: line + 1,
        text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
        problem: error.message().replace('\n', "; "),
    }
}
