//! Data sets in nnU-Net's layout: `dataset.json`, `imagesTr` and `labelsTr`.

#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Dataset, LabelClass, ModalityFiles, UnknownLabels};
use crate::Error;
use crate::prepare::{GeometryCheck, LabelResampling, Plane, Preparation};

/// Side of the crop for data sets that cannot state one.
const CROP: usize = 256;

/// The keys of `dataset.json` that matter here; all others are for nnU-Net.
#[derive(Deserialize)]
struct DatasetJson {
    name: Option<String>,
    channel_names: Option<Value>,
    /// Ours (case to modality), or version 1's name for `channel_names`.
    modality: Option<Map<String, Value>>,
    labels: Map<String, Value>,
    file_ending: Option<String>,
    dataset: Option<Value>,
}

impl Dataset {
    /// Returns the data set of a folder in nnU-Net's layout (version 1 or 2).
    ///
    /// nnU-Net knows channels of one patient, not unpaired modalities, so `dataset.json` needs one
    /// more key, which nnU-Net ignores: `"modality": {"case_001": "CT", "case_002": "MR", …}`.
    /// Files may end in `_0000` or not. Modalities are numbered as they first appear in the map;
    /// every case counts as a patient of its own, so that two scans of one person can fall on both sides of the split. Slices are taken as stored and cropped to 256
    /// pixels; change [`Dataset::plane`] and [`Dataset::crop`] as needed.
    ///
    /// # Errors
    ///
    /// - [`Error::Read`] if `dataset.json` cannot be read
    /// - [`Error::ParseDataset`] naming line and column if it is not JSON of that form
    /// - [`Error::InvalidDataset`] if the modality map is missing or lists a case without an image,
    ///   if cases have several channels, or for regions, ignore labels and explicit file lists
    pub fn from_nnunet(root: &Path) -> Result<Self, Error> {
        let path = root.join("dataset.json");
        let file = path.display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|reason| Error::Read { path: path.clone(), reason })?;
        // Some editors put a byte order mark first.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let json: DatasetJson =
            serde_json::from_str(text).map_err(|error| parse_error(text, &file, &error))?;
        let invalid = |(key, problem): (&'static str, String)| Error::InvalidDataset {
            file: file.clone(),
            key: key.to_owned(),
            problem,
        };
        let dataset = dataset(&json, root).map_err(invalid)?;
        dataset.check().map_err(invalid)?;
        Ok(dataset)
    }
}

type Fault = (&'static str, String);

fn dataset(json: &DatasetJson, root: &Path) -> Result<Dataset, Fault> {
    if json.dataset.is_some() {
        let problem = "explicit file lists are not read; put the files in imagesTr and labelsTr";
        return Err(("dataset", problem.to_owned()));
    }
    let ending = json.file_ending.as_deref().unwrap_or(".nii.gz");
    if ![".nii.gz", ".nii"].contains(&ending) {
        return Err(("file_ending", format!("expected .nii.gz or .nii, got {ending}")));
    }
    let folder = root.file_name().map_or("nnunet".into(), |name| name.to_string_lossy());
    let name = json.name.clone().unwrap_or_else(|| folder.clone().into_owned());
    Ok(Dataset {
        name: folder.into_owned(),
        title: name,
        obtain: String::new(),
        plane: Plane::Stored,
        crop: CROP,
        spacing_mm: None,
        label_resampling: LabelResampling::default(),
        clip_top_percent: None,
        geometry: GeometryCheck::default(),
        geometry_tolerance_mm: Preparation::TOLERANCE_MM,
        unknown_labels: UnknownLabels::Error,
        default_modalities: None,
        labels: classes(&json.labels).map_err(|problem| ("labels", problem))?,
        modalities: modalities(json, root, ending)?,
        unselected: Vec::new(),
    })
}

/// Version 2 writes `"LV": 1`, version 1 `"1": "LV"`.
fn classes(labels: &Map<String, Value>) -> Result<Vec<LabelClass>, String> {
    let mut classes = Vec::new();
    for (key, value) in labels {
        let (name, number) = match value {
            Value::String(name) => (name, key.parse::<u16>().ok()),
            other => (key, other.as_u64().and_then(|value| u16::try_from(value).ok())),
        };
        if name == "ignore" {
            return Err("an ignore label is not supported; relabel those voxels".to_owned());
        }
        let value = number.ok_or_else(|| {
            format!("class `{name}` needs one whole number, got {value}; regions are not supported")
        })?;
        if value != 0 {
            classes.push(LabelClass { name: name.clone(), values: vec![value], role: None });
        }
    }
    classes.sort_by_key(|class| class.values[0]);
    Ok(classes)
}

fn modalities(json: &DatasetJson, root: &Path, ending: &str) -> Result<Vec<ModalityFiles>, Fault> {
    if let Some(channels) = channels(json).filter(|&channels| channels > 1) {
        let problem =
            format!("every case has one image of one modality here, got {channels} channels");
        return Err(("channel_names", problem));
    }
    let mut modalities: Vec<ModalityFiles> = Vec::new();
    for (case, modality) in case_modalities(json)? {
        let images = [format!("{case}{ending}"), format!("{case}_0000{ending}")];
        if !images.iter().any(|image| root.join("imagesTr").join(image).is_file()) {
            let problem =
                format!("lists case `{case}` but imagesTr has no {}", images.join(" or "));
            return Err(("modality", problem));
        }
        let place = modalities.iter().position(|known| known.name == modality);
        let place = place.unwrap_or_else(|| {
            modalities.push(empty(modality));
            modalities.len() - 1
        });
        modalities[place].patients.push(case.clone());
    }
    Ok(modalities)
}

fn channels(json: &DatasetJson) -> Option<usize> {
    match &json.channel_names {
        Some(Value::Object(names)) => Some(names.len()),
        Some(Value::Array(names)) => Some(names.len()),
        Some(_) => None,
        None => json.modality.as_ref().filter(|map| is_version_1(map)).map(Map::len),
    }
}

/// Returns every case with its modality, in the order of the file.
fn case_modalities(json: &DatasetJson) -> Result<Vec<(&String, &str)>, Fault> {
    let version_1 = |map: &&Map<String, Value>| json.channel_names.is_none() && is_version_1(map);
    let Some(map) = json.modality.as_ref().filter(|map| !version_1(map) && !map.is_empty()) else {
        let problem = "nothing says which case is of which modality; add \
            \"modality\": {\"case_001\": \"CT\", \"case_002\": \"MR\"} with every case beside \
            \"channel_names\" to dataset.json";
        return Err(("modality", problem.to_owned()));
    };
    map.iter()
        .map(|(case, modality)| match modality {
            Value::String(name) => Ok((case, name.as_str())),
            other => Err(("modality", format!("case `{case}` needs a name, got {other}"))),
        })
        .collect()
}

/// Version 1 numbers its channels `"0"`, `"1"`, …
fn is_version_1(map: &Map<String, Value>) -> bool {
    (0..map.len()).all(|channel| map.contains_key(&channel.to_string()))
}

fn empty(modality: &str) -> ModalityFiles {
    ModalityFiles {
        name: modality.to_owned(),
        aliases: Vec::new(),
        patient_prefix: String::new(),
        patients: Vec::new(),
        images: ["imagesTr/{patient}_0000", "imagesTr/{patient}"].map(str::to_owned).to_vec(),
        labels: vec!["labelsTr/{patient}".to_owned()],
    }
}

fn parse_error(text: &str, file: &str, error: &serde_json::Error) -> Error {
    let line = error.line().max(1);
    // The message ends in " at line 4 column 23"; the line is told apart.
    let message = error.to_string();
    let problem = message.rsplit_once(" at line ").map_or(message.as_str(), |(problem, _)| problem);
    Error::ParseDataset {
        file: file.to_owned(),
        line,
        text: text.lines().nth(line - 1).unwrap_or_default().trim().to_owned(),
        problem: format!("{problem}, column {}", error.column()),
    }
}
