//! What `duomo check` found, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use duomo_data::{Dataset, Finding, FixedHeader, InspectedCase, Inspection};
use serde::Serialize;

use crate::table::{Align, Table};

#[derive(Serialize)]
pub(super) struct Report {
    schema: &'static str,
    dataset: String,
    data: PathBuf,
    classes: Vec<String>,
    cases: Vec<CaseReport>,
    /// Files that no case uses, for a reason that is no fault.
    left_out: Vec<LeftOutReport>,
    /// To be mended before training.
    pub(super) faults: Vec<Finding>,
    /// Worth a look.
    warnings: Vec<Finding>,
    /// Corrected copies.
    pub(super) fixed: Vec<FixedHeader>,
    /// Pictures.
    pub(super) contact_sheets: Vec<PathBuf>,
}

#[derive(Serialize)]
struct CaseReport {
    modality: String,
    patient: String,
    image: PathBuf,
    labels: Option<PathBuf>,
    /// `[D, H, W]`.
    shape: [usize; 3],
    spacing_mm: [f64; 3],
    slices: usize,
    /// Slices that show each class.
    slices_with: BTreeMap<String, usize>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct LeftOutReport {
    path: PathBuf,
    message: String,
}

impl Report {
    pub(super) fn new(dataset: &Dataset, data: &Path, inspection: &Inspection) -> Self {
        let findings = inspection.findings.iter().cloned();
        let (faults, warnings) = findings.partition(|finding| finding.kind.is_fault());
        let left_out = inspection.left_out.iter().map(|file| LeftOutReport {
            path: file.path.clone(),
            message: file.reason.to_string(),
        });
        Self {
            schema: "duomo.check/2",
            dataset: dataset.name.clone(),
            data: data.to_owned(),
            classes: dataset.class_names().into_iter().map(str::to_owned).collect(),
            cases: inspection.cases.iter().map(|case| CaseReport::of(dataset, case)).collect(),
            left_out: left_out.collect(),
            faults,
            warnings,
            fixed: Vec::new(),
            contact_sheets: Vec::new(),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.table().aligned();
        if !self.left_out.is_empty() {
            text.push_str("\nleft out\n");
        }
        for file in &self.left_out {
            let _ = writeln!(text, "  {}: {}", file.path.display(), file.message);
        }
        text.push_str(&findings("faults", &self.faults));
        text.push_str(&findings("warnings", &self.warnings));
        for copy in &self.fixed {
            let changes = copy.changes.join("; ");
            let _ = write!(text, "\nwrote {}: {changes}", copy.to.display());
        }
        for sheet in &self.contact_sheets {
            let _ = write!(text, "\nwrote {}", sheet.display());
        }
        let counts = [self.cases.len(), self.left_out.len(), self.faults.len()];
        let [cases, left_out, faults] = counts;
        let warnings = self.warnings.len();
        let _ = writeln!(
            text,
            "\n{cases} cases, {left_out} files left out, {faults} faults, {warnings} warnings"
        );
        text
    }

    fn table(&self) -> Table {
        let mut columns = vec![
            ("modality", Align::Left),
            ("patient", Align::Left),
            ("slices", Align::Right),
            ("mm (D, H, W)", Align::Left),
        ];
        columns.extend(self.classes.iter().map(|class| (class.as_str(), Align::Right)));
        columns.push(("remarks", Align::Left));
        let mut table = Table::new(&columns);
        for case in &self.cases {
            let [slice_mm, row_mm, column_mm] = case.spacing_mm;
            let mut row = vec![
                case.modality.clone(),
                case.patient.clone(),
                case.slices.to_string(),
                format!("{slice_mm:.2} × {row_mm:.2} × {column_mm:.2}"),
            ];
            let with =
                |class| case.slices_with.get(class).map_or_else(String::new, usize::to_string);
            row.extend(self.classes.iter().map(with));
            row.push(case.warnings.join("; "));
            table.push(row);
        }
        table
    }
}

impl CaseReport {
    fn of(dataset: &Dataset, inspected: &InspectedCase) -> Self {
        let case = &inspected.case;
        let names = dataset.class_names().into_iter().map(str::to_owned);
        Self {
            modality: dataset.modality_names()[case.modality].to_owned(),
            patient: case.patient.clone(),
            image: case.image.clone(),
            labels: case.labels.clone(),
            shape: inspected.shape,
            spacing_mm: inspected.spacing_mm,
            slices: inspected.slices,
            slices_with: names.zip(inspected.slices_with.iter().copied()).collect(),
            warnings: inspected.warnings.clone(),
        }
    }
}

fn findings(title: &str, findings: &[Finding]) -> String {
    let mut text = if findings.is_empty() { String::new() } else { format!("\n{title}\n") };
    for finding in findings {
        let case: Vec<&str> = [&finding.modality, &finding.patient]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let case = if case.is_empty() { String::new() } else { format!("{}: ", case.join(" ")) };
        let _ = writeln!(text, "  {case}{}", finding.path.display());
        let _ = writeln!(text, "    found {}; expected {}", finding.found, finding.expected);
        let _ = writeln!(text, "    {}", finding.remedy);
    }
    text
}
