//! `duomo evaluate`: compares label maps with references.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use duomo_data::{Preparation, read_image};
use duomo_metrics::{Convention, Penalty};

use crate::console;
use crate::exit::{Fault, Outcome};
use crate::pictures::{CaseView, Row, Volumes, png, reversed_axes, sheet, telling_slice};
use crate::scores::{
    CaseScores, Classes, Compared, Extent, Failure, Indexed, Measure, Pair, Report, compare, csv,
    pair, stem, text,
};
use crate::table::{Table, number};

/// Arguments of `duomo evaluate`.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub(crate) struct Arguments {
    /// Label map drawn by an expert, or a folder of them.
    #[arg(long, value_name = "PATH")]
    reference: PathBuf,
    /// Label map to be judged, or a folder of them with the same file names.
    #[arg(long, value_name = "PATH")]
    prediction: PathBuf,
    /// Classes: a data set (mscmr, mmwhs, a .toml file) or a list such as 1=LV,2=myo,420+421=LAC;
    /// every label that occurs if left out. Labels that a list lacks count as background.
    #[arg(long, value_name = "SPEC")]
    labels: Option<String>,
    /// What a surface is made of: voxels that all count the same, as MedPy, MONAI and scipy have
    /// it, or pieces between voxels that count by their area, as DeepMind's surface-distance has it.
    #[arg(long, value_name = "voxel|deepmind", default_value = "voxel", value_parser = convention)]
    convention: Convention,
    /// Measure the Hausdorff distance between all voxels, too, as SimpleITK's filter has it.
    #[arg(long)]
    hausdorff_volume: bool,
    /// Tolerances of the normalised surface distance; what exceeds one by less than a millionth, as
    /// headers round, is within.
    #[arg(
        long,
        value_name = "MM",
        value_delimiter = ',',
        allow_negative_numbers = true,
        value_parser = tolerance,
        default_value = "1,2"
    )]
    tolerances: Vec<f64>,
    /// What a missed or spurious class counts as in the means: nothing, the image's diagonal, or a
    /// distance in mm (0 for ratios).
    #[arg(long, value_name = "none|worst-case|MM", default_value = "none", value_parser = penalty)]
    penalty: Penalty,
    /// Compare every slice along the file's last axis on its own, in 2D.
    #[arg(long)]
    per_slice: bool,
    /// Compare voxel by voxel even if the headers put the files at different places.
    #[arg(long)]
    trust_voxels: bool,
    /// Write JSON to a file, or to stdout instead of the tables with `-`.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<String>,
    /// Write CSV, one line per case, class and metric.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print the tables as Markdown.
    #[arg(long)]
    markdown: bool,
    /// Write one picture per case and an overview of the 40 worst, worst first, into this folder.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Image, or folder of images named like the label maps, to draw below them.
    #[arg(long, value_name = "PATH", requires = "pictures")]
    images: Option<PathBuf>,
}

/// Compares every pair and prints the report.
///
/// # Errors
///
/// Paths that cannot be paired; for two files also whatever is wrong with them. In a folder a
/// faulty case is listed and the others are compared.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let classes = Classes::parse(arguments.labels.as_deref())?;
    let measure = arguments.measure()?;
    let pairing = pair(&arguments.reference, &arguments.prediction)?;
    for path in &pairing.unreferenced {
        console::warn(&format!("{} has no reference of the same name", path.display()));
    }
    let mut failures: Vec<_> = pairing.unpredicted.iter().map(|path| unpredicted(path)).collect();
    let (mut cases, mut overview, mut flat) = (Vec::new(), Overview::default(), 0);
    for pair in &pairing.pairs {
        let compared = compare(pair, &classes, &measure).and_then(|compared| {
            draw(arguments, pair, &compared, &mut overview).map(|()| compared)
        });
        match compared {
            Ok(compared) => {
                flat += usize::from(compared.geometry.shape[0] == 1);
                cases.extend(compared.scores);
            }
            Err(error) if arguments.reference.is_file() => {
                return Err(error.context(format!("cannot evaluate case {}", pair.case)));
            }
            Err(error) => failures.push(failed(pair, &error)),
        }
    }
    for failure in &failures {
        console::fail(&format!("case {}: {}", failure.case, failure.error));
    }
    if flat > 0 && measure.extent == Extent::Volume {
        console::warn(&format!(
            "{flat} of {} cases are one slice thick: in 3D each of their voxels is on the surface; \
             --per-slice measures in 2D",
            pairing.pairs.len()
        ));
    }
    if let Some(folder) = &arguments.pictures {
        overview.write(folder)?;
    }
    write(arguments, &Report::new(cases, failures, &classes, &measure, arguments.penalty))
}

impl Arguments {
    fn measure(&self) -> Result<Measure> {
        for (at, tolerance) in self.tolerances.iter().enumerate() {
            if self.tolerances[..at].contains(tolerance) {
                return Err(Fault::Usage(format!("--tolerances: {tolerance} stands twice")).into());
            }
        }
        Ok(Measure {
            convention: self.convention,
            tolerances_mm: self.tolerances.clone(),
            hausdorff_volume: self.hausdorff_volume,
            extent: if self.per_slice { Extent::Slice } else { Extent::Volume },
            geometry_tolerance_mm: (!self.trust_voxels).then_some(Preparation::TOLERANCE_MM),
        })
    }
}

fn write(arguments: &Arguments, report: &Report) -> Result<Outcome> {
    if let Some(path) = &arguments.csv {
        console::write_file(path, csv(report).as_bytes())?;
    }
    if let Some(target) = &arguments.json {
        console::print_json(report, target)?;
    }
    if arguments.json.as_deref() != Some("-") {
        let render = if arguments.markdown { Table::markdown } else { Table::aligned };
        console::print(&text(report, render))?;
    }
    Ok(if report.failures.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

/// Writes the picture of a case, if pictures are asked for, and adds it to the overview.
fn draw(
    arguments: &Arguments,
    pair: &Pair,
    compared: &Compared,
    overview: &mut Overview,
) -> Result<()> {
    let Some(folder) = &arguments.pictures else { return Ok(()) };
    let image =
        arguments.images.as_deref().map(|images| image_of(images, &pair.case)).transpose()?;
    let row = picture(&pair.case, compared, image.as_deref())?;
    let names = &compared.indexed.names;
    save(&folder.join(format!("{}.png", pair.case)), &sheet(std::slice::from_ref(&row), names))?;
    overview.add(compared.mean_dice(), row, names);
    Ok(())
}

fn unpredicted(reference: &Path) -> Failure {
    Failure {
        case: stem(reference).unwrap_or_default(),
        reference: reference.to_owned(),
        prediction: None,
        error: format!("{} has no prediction of the same name", reference.display()),
    }
}

fn failed(pair: &Pair, error: &anyhow::Error) -> Failure {
    Failure {
        case: pair.case.clone(),
        reference: pair.reference.clone(),
        prediction: Some(pair.prediction.clone()),
        error: format!("{error:#}"),
    }
}

fn convention(text: &str) -> Result<Convention, String> {
    [Convention::Voxel, Convention::DeepMind]
        .into_iter()
        .find(|convention| convention.as_str() == text)
        .ok_or_else(|| "expected voxel or deepmind".to_owned())
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(mm) if mm.is_finite() && mm >= 0.0 => Ok(mm),
        _ => Err("expected a distance in mm, 0 or more".to_owned()),
    }
}

fn penalty(text: &str) -> Result<Penalty, String> {
    match text {
        "none" => Ok(Penalty::None),
        "worst-case" => Ok(Penalty::WorstCase),
        distance => match distance.parse::<f64>() {
            Ok(mm) if mm.is_finite() && mm >= 0.0 => Ok(Penalty::Fixed(mm)),
            _ => Err("expected none, worst-case or a distance in mm".to_owned()),
        },
    }
}

/// The image of a case: the file itself, or the one of that name in a folder.
fn image_of(images: &Path, case: &str) -> Result<PathBuf> {
    if images.is_file() {
        return Ok(images.to_owned());
    }
    let names = [".nii.gz", ".nii"].map(|extension| images.join(format!("{case}{extension}")));
    let found = names.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| {
        let text = format!("{} holds no image named like {case}", images.display());
        Fault::Data(text + "; give --images the folder of the images that were segmented").into()
    })
}

fn picture(case: &str, compared: &Compared, image: Option<&Path>) -> Result<Row> {
    let image = image.map(read_image).transpose()?;
    if let Some(image) = &image {
        ensure!(
            image.geometry.shape == compared.geometry.shape,
            "image and label maps of case {case} differ in shape; leave --images out"
        );
    }
    let Indexed { maps: [reference, prediction], .. } = &compared.indexed;
    let volumes = Volumes {
        shape: compared.geometry.shape,
        spacing_mm: compared.geometry.spacing_mm,
        reversed: reversed_axes(&compared.geometry.affine),
        image: image.as_ref().map(|image| image.voxels.as_slice()),
        reference: Some(reference),
        prediction,
    };
    let slice = telling_slice(&volumes);
    let caption = format!("{case}  slice {} of {}", slice + 1, volumes.shape[0]);
    let score = compared.scores_of(slice).map(dice_of_classes).unwrap_or_default();
    Ok(Row::draw(&CaseView { caption, score, volumes, slice }))
}

fn dice_of_classes(scores: &CaseScores) -> String {
    let classes = scores.classes.values();
    let dice = classes.map(|class| format!("{} {}", class.name, number(class.result.dice, 3)));
    format!("Dice  {}", dice.collect::<Vec<_>>().join("  "))
}

/// Rows of an overview: more than anyone looks at, few enough to hold while cases stream past.
const OVERVIEW_ROWS: usize = 40;

/// The rows of the worst cases so far.
#[derive(Default)]
struct Overview {
    /// With the mean Dice that they are sorted by.
    rows: Vec<(Option<f64>, Row)>,
    /// What the colours of all rows stand for.
    names: Vec<String>,
    /// Whether colours stand for other classes in some case.
    differ: bool,
}

impl Overview {
    /// Adds a row, worst mean Dice first, and drops what the overview does not show; a row without a
    /// Dice comes before all others.
    fn add(&mut self, dice: Option<f64>, row: Row, names: &[String]) {
        if self.rows.is_empty() {
            self.names = names.to_vec();
        }
        self.differ |= self.names != names;
        self.rows.push((dice, row));
        self.rows.sort_by(|(one, _), (other, _)| one.partial_cmp(other).unwrap_or(Ordering::Equal));
        self.rows.truncate(OVERVIEW_ROWS);
    }

    fn write(self, folder: &Path) -> Result<()> {
        if self.rows.len() < 2 {
            return Ok(());
        }
        if self.differ {
            console::warn(
                "no overview.png is drawn: cases hold different labels, so a colour would stand \
                 for several; --labels gives all the same",
            );
            return Ok(());
        }
        let rows: Vec<Row> = self.rows.into_iter().map(|(_, row)| row).collect();
        save(&folder.join("overview.png"), &sheet(&rows, &self.names))
    }
}

fn save(path: &Path, picture: &image::RgbImage) -> Result<()> {
    console::write_file(path, &png(picture)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of a case of a few voxels.
    fn row() -> Row {
        let voxels = [0; 4];
        let volumes = Volumes {
            shape: [1, 2, 2],
            spacing_mm: [1.0; 3],
            reversed: [false; 2],
            image: None,
            reference: Some(&voxels),
            prediction: &voxels,
        };
        Row::draw(&CaseView { caption: String::new(), score: String::new(), volumes, slice: 0 })
    }

    #[test]
    fn the_overview_keeps_the_worst_cases() {
        let mut overview = Overview::default();
        for dice in (0..100).rev() {
            let dice = (dice != 50).then_some(f64::from(dice) / 100.0);
            overview.add(dice, row(), &[]);
        }

        let kept: Vec<Option<f64>> = overview.rows.iter().map(|(dice, _)| *dice).collect();
        assert_eq!(kept.len(), OVERVIEW_ROWS);
        assert_eq!((kept[0], kept[1], kept[39]), (None, Some(0.0), Some(0.38)));
    }

    #[test]
    fn an_overview_of_other_labels_in_each_case_is_not_drawn() {
        let folder = tempfile::tempdir().unwrap();
        for (second, is_drawn) in [("1", true), ("2", false)] {
            let mut overview = Overview::default();
            overview.add(None, row(), &["1".into()]);
            overview.add(None, row(), &[second.into()]);
            let path = folder.path().join("overview.png");

            overview.write(folder.path()).unwrap();

            assert_eq!(path.is_file(), is_drawn);
            let _ = std::fs::remove_file(path);
        }
    }
}
