//! `duomo check`: what a data folder holds, and what is wrong with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use duomo_data::{
    Case, CropCentre, Dataset, Discovery, PreparedCase, Reason, discover, prepare_all,
};
use serde::Serialize;

use crate::console;
use crate::exit::{Outcome, usage};
use crate::table::{Align, Table};

/// Cases read at once; a whole CT takes a few hundred megabytes.
const CASES_AT_ONCE: usize = 4;

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
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads every case as training would, and lists cases, files left out and faults.
///
/// # Errors
///
/// A data set that is not known (2), or a folder without usable cases (3).
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let dataset = Dataset::load(&arguments.dataset).map_err(|error| usage(&error.into()))?;
    let names: Vec<&str> = arguments.modalities.iter().map(String::as_str).collect();
    let dataset = if names.is_empty() { Ok(dataset) } else { dataset.with_modalities(&names) };
    let dataset = dataset.map_err(|error| usage(&error.into()))?;
    let discovery = discover(&dataset, &arguments.data)?;
    let report = Report::new(&dataset, &arguments.data, &discovery);
    if arguments.json {
        console::print_json(&report, "-")?;
    } else {
        console::print(&report.text())?;
    }
    Ok(if report.faults.is_empty() { Outcome::Done } else { Outcome::FaultsFound })
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    dataset: String,
    data: PathBuf,
    classes: Vec<String>,
    cases: Vec<CaseReport>,
    /// Files that no case uses, for a reason that is no fault.
    left_out: Vec<Remark>,
    faults: Vec<Remark>,
}

#[derive(Serialize)]
struct CaseReport {
    modality: String,
    patient: String,
    image: PathBuf,
    labels: Option<PathBuf>,
    slices: usize,
    /// Slices that show each class.
    slices_with: BTreeMap<String, usize>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Remark {
    path: PathBuf,
    message: String,
}

impl Report {
    fn new(dataset: &Dataset, data: &Path, discovery: &Discovery) -> Self {
        let mut report = Self {
            schema: "duomo.check/1",
            dataset: dataset.name.clone(),
            data: data.to_owned(),
            classes: dataset.class_names().into_iter().map(str::to_owned).collect(),
            cases: Vec::new(),
            left_out: Vec::new(),
            faults: Vec::new(),
        };
        for left_out in &discovery.left_out {
            let path = left_out.path.clone();
            match remedy(&left_out.reason) {
                Some(remedy) => {
                    let message = format!("{}; {remedy}", left_out.reason);
                    report.faults.push(Remark { path, message });
                }
                None => {
                    report.left_out.push(Remark { path, message: left_out.reason.to_string() });
                }
            }
        }
        for cases in discovery.cases.chunks(CASES_AT_ONCE) {
            report.read(dataset, cases);
        }
        report
    }

    fn read(&mut self, dataset: &Dataset, cases: &[Case]) {
        let (labels, preparation) = (dataset.label_map(), dataset.preparation());
        let results = prepare_all(cases, &labels, &preparation, CropCentre::Annotation);
        for (case, result) in cases.iter().zip(results) {
            match result {
                Ok(prepared) => self.cases.push(CaseReport::of(dataset, &prepared)),
                Err(error) => self
                    .faults
                    .push(Remark { path: case.image.clone(), message: error.to_string() }),
            }
        }
    }

    fn text(&self) -> String {
        let mut columns =
            vec![("modality", Align::Left), ("patient", Align::Left), ("slices", Align::Right)];
        columns.extend(self.classes.iter().map(|class| (class.as_str(), Align::Right)));
        columns.push(("remarks", Align::Left));
        let mut table = Table::new(&columns);
        for case in &self.cases {
            let mut row =
                vec![case.modality.clone(), case.patient.clone(), case.slices.to_string()];
            let with = |class| case.slices_with.get(class).copied().unwrap_or(0).to_string();
            row.extend(self.classes.iter().map(with));
            row.push(case.warnings.join("; "));
            table.push(row);
        }
        let mut text = table.aligned();
        text.push_str(&remarks("left out", &self.left_out));
        text.push_str(&remarks("faults", &self.faults));
        let (cases, left_out) = (self.cases.len(), self.left_out.len());
        let faults = self.faults.len();
        let _ = writeln!(text, "\n{cases} cases, {left_out} files left out, {faults} faults");
        text
    }
}

impl CaseReport {
    fn of(dataset: &Dataset, prepared: &PreparedCase) -> Self {
        let labels = prepared.labels.as_deref().unwrap_or_default();
        let slices = || labels.chunks(prepared.side * prepared.side);
        let with = |class: u8| slices().filter(|slice| slice.contains(&class)).count();
        let classes = (1..=u8::MAX).zip(dataset.class_names());
        Self {
            modality: dataset.modality_names()[prepared.case.modality].to_owned(),
            patient: prepared.case.patient.clone(),
            image: prepared.case.image.clone(),
            labels: prepared.case.labels.clone(),
            slices: prepared.slices,
            slices_with: classes.map(|(class, name)| (name.to_owned(), with(class))).collect(),
            warnings: prepared.warnings.clone(),
        }
    }
}

/// What to do about a file that is left out, if leaving it out is a fault of the folder.
fn remedy(reason: &Reason) -> Option<&'static str> {
    match reason {
        Reason::LabelsWithoutImage { .. } => Some("add the image or remove the label map"),
        Reason::SamePatientTwice { .. } => Some("remove or rename one of the two"),
        Reason::TwoModalities(_) => Some("make the patterns of the data set more specific"),
        _ => None,
    }
}

fn remarks(title: &str, remarks: &[Remark]) -> String {
    if remarks.is_empty() {
        return String::new();
    }
    let lines =
        remarks.iter().map(|remark| format!("  {}: {}\n", remark.path.display(), remark.message));
    format!("\n{title}\n{}", lines.collect::<String>())
}
