//! `duomo grid tables`: the paper's tables and figures from the finished runs of a grid.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use duomo_train::{Cell, CellStatus, FilledTable, MethodRuns, Paper, Summary};

use super::{GridArguments, statuses};
use crate::comparison::{Comparison, ScoredRun, check_splits, csv as comparison_csv, tables};
use crate::console;
use crate::exit::{Fault, Outcome, usage_unless_data};
use crate::figures;
use crate::paper_tables::{blocks, csv};
use crate::report::{ReportedRun, page};
use crate::table::Table;

/// Arguments of `duomo grid tables`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    grid: GridArguments,
    /// Folder for tables and figures.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Numbers to stand beside ours: chen2020, or a .toml file like experiments/paper/chen2020.toml.
    #[arg(long, value_name = "NAME|FILE", default_value = "chen2020")]
    paper: String,
}

/// Cases of each modality that a page shows slice by slice, in each of many runs.
const WORST_SHOWN: usize = 1;

/// A finished run.
struct Finished<'a> {
    cell: &'a Cell,
    summary: Summary,
}

/// Writes `tables.md`, every table and figure by itself and a page per data set, and prints the first.
///
/// # Errors
///
/// A grid without a finished run, a run folder that is damaged or of another version, runs on
/// different splits (3), or a folder that cannot be written to (1).
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let paper = Paper::load(&arguments.paper).map_err(usage_unless_data)?;
    let cells = arguments.grid.cells()?;
    let statuses = statuses(&cells)?;
    let mut finished = Vec::new();
    let mut missing = Vec::new();
    for (cell, status) in cells.iter().zip(statuses) {
        match status {
            CellStatus::Done => finished.push(Finished { cell, summary: cell.summary()? }),
            _ => missing.push(cell),
        }
    }
    if finished.is_empty() {
        return Err(Fault::Data(format!(
            "no run of the grid is done below {}; `duomo grid run` with the same arguments does them",
            arguments.grid.runs.display()
        ))
        .into());
    }
    let mut report = head(&paper, &finished, &missing);
    for dataset in datasets(&cells) {
        let methods = methods(&cells, dataset);
        let finished = comparable(&finished, dataset, &methods);
        if finished.is_empty() {
            continue;
        }
        for table in paper.tables.iter().filter(|table| table.dataset == dataset) {
            let filled = FilledTable::new(&paper, table, &runs_of(&finished, &methods));
            write_table(&arguments.out, &filled, &mut report)?;
        }
        write_tests(&arguments.out, dataset, (&paper, &methods), &finished, &mut report)?;
        write_figures(&arguments.out, dataset, &finished, &mut report)?;
        write_page(&arguments.out, dataset, &paper, &finished, &mut report)?;
    }
    console::write_file(&arguments.out.join("tables.md"), report.as_bytes())?;
    console::print(&report)?;
    console::note(&format!("tables and figures lie in {}", arguments.out.display()));
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

/// Names of the data sets, in the grid's order.
fn datasets(cells: &[Cell]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for cell in cells {
        let name = &cell.experiment.dataset.name;
        if !names.contains(&&name[..]) {
            names.push(name);
        }
    }
    names
}

/// Labels of a data set's methods, in the grid's order.
fn methods<'a>(cells: &'a [Cell], dataset: &str) -> Vec<&'a str> {
    let mut labels: Vec<&str> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.experiment.dataset.name == dataset) {
        let label = &cell.experiment.method.label;
        if !labels.contains(&&label[..]) {
            labels.push(label);
        }
    }
    labels
}

/// Seed and fold of a run.
fn draw(cell: &Cell) -> (u64, Option<(usize, usize)>) {
    (cell.experiment.seed, cell.experiment.fold)
}

/// The finished runs of a data set whose seed and fold every method has that has any: otherwise
/// methods would be compared on other patients.
fn comparable<'a>(
    finished: &'a [Finished<'a>],
    dataset: &str,
    methods: &[&str],
) -> Vec<&'a Finished<'a>> {
    let of_dataset: Vec<&Finished<'_>> =
        finished.iter().filter(|run| run.cell.experiment.dataset.name == dataset).collect();
    let draws = |method: &str| -> BTreeSet<_> {
        let runs = of_dataset.iter().filter(|run| run.cell.experiment.method.label == method);
        runs.map(|run| draw(run.cell)).collect()
    };
    let draws: Vec<BTreeSet<_>> =
        methods.iter().map(|method| draws(method)).filter(|draws| !draws.is_empty()).collect();
    let count = of_dataset.len();
    let kept: Vec<&Finished<'_>> = of_dataset
        .into_iter()
        .filter(|run| draws.iter().all(|draws| draws.contains(&draw(run.cell))))
        .collect();
    if kept.len() < count {
        console::warn(&format!(
            "{} finished runs of {dataset} are left out, because some method lacks their seed or fold",
            count - kept.len()
        ));
    }
    kept
}

fn runs_of(finished: &[&Finished<'_>], methods: &[&str]) -> Vec<MethodRuns> {
    let runs = methods.iter().map(|method| {
        let runs = finished.iter().filter(|run| run.cell.experiment.method.label == *method);
        MethodRuns {
            method: (*method).to_owned(),
            summaries: runs.map(|run| run.summary.clone()).collect(),
        }
    });
    runs.collect()
}

/// What the tables were made from.
fn head(paper: &Paper, finished: &[Finished<'_>], missing: &[&Cell]) -> String {
    let list = |of: fn(&Finished<'_>) -> String| {
        let values: BTreeSet<String> = finished.iter().map(of).collect();
        values.into_iter().collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "# Tables of the paper, beside our runs\n\n\
         Paper: {}, as printed. **Bold**: best of our runs in its column, among methods with a value \
         for every patient.\n\n\
         Runs: {} done, {} missing. Schedule: {}. Seeds: {}. Duomo: {}. Data: {}.\n",
        paper.source,
        finished.len(),
        missing.len(),
        list(|run| {
            let schedule = &run.cell.experiment.schedule;
            format!("{} ({} steps)", schedule.label, schedule.steps)
        }),
        list(|run| run.cell.experiment.seed.to_string()),
        list(|run| {
            let provenance = &run.summary.provenance;
            format!("{} at commit {:.7}", provenance.version, provenance.commit)
        }),
        list(|run| {
            let Cell { experiment, data, data_hash, .. } = run.cell;
            format!("{} below {} (BLAKE3 {data_hash:.12})", experiment.dataset.name, data.display())
        }),
    );
    for cell in missing {
        let _ = write!(text, "\nMissing: {} (index {}).", cell.name, cell.index);
    }
    if !missing.is_empty() {
        text.push('\n');
    }
    text
}

fn write_table(out: &Path, filled: &FilledTable, report: &mut String) -> Result<()> {
    let blocks = blocks(filled);
    let file = |extension: &str| out.join(format!("{}.{extension}", filled.name));
    let markdown = section(&filled.title, &blocks, Table::markdown, "\n");
    console::write_file(&file("md"), format!("#{markdown}").as_bytes())?;
    console::write_file(&file("csv"), csv(filled).as_bytes())?;
    console::write_file(&file("tex"), latex(&filled.title, &blocks).as_bytes())?;
    console::print_json(filled, &file("json").to_string_lossy())?;
    let _ = write!(report, "\n#{markdown}");
    Ok(())
}

/// A heading and captioned tables below it.
fn section(
    title: &str,
    blocks: &[(String, Table)],
    render: fn(&Table) -> String,
    after_caption: &str,
) -> String {
    let mut text = format!("# {title}\n");
    for (caption, table) in blocks {
        let _ = write!(text, "\n{caption}\n{after_caption}{}", render(table));
    }
    text
}

/// The tables with their captions as comments, for the package booktabs.
fn latex(title: &str, blocks: &[(String, Table)]) -> String {
    let mut text = format!("% {title}; needs the package booktabs\n");
    for (caption, table) in blocks {
        let _ = write!(text, "\n% {caption}\n{}", table.latex());
    }
    text
}

/// Tests of our method against every other one: one test per modality and method on the patients'
/// mean Dice, corrected together.
fn write_tests(
    out: &Path,
    dataset: &str,
    (paper, methods): (&Paper, &[&str]),
    finished: &[&Finished<'_>],
    report: &mut String,
) -> Result<()> {
    let mut runs = Vec::new();
    let mut order: Vec<&str> = methods.to_vec();
    order.sort_by_key(|method| *method != paper.ours);
    for method in order {
        let folders = finished.iter().filter(|run| run.cell.experiment.method.label == method);
        let read = |run: &&Finished<'_>| ScoredRun::read(&run.cell.folder, "dice", None);
        let of_method: Vec<ScoredRun> = folders.map(read).collect::<Result<_>>()?;
        if !of_method.is_empty() {
            runs.push((method, of_method));
        }
    }
    check_draws(finished, &runs)?;
    let merged: Vec<ScoredRun> =
        runs.iter().map(|(method, runs)| ScoredRun::merged(method, runs).only_means()).collect();
    if merged.len() < 2 || merged[0].name != paper.ours {
        console::warn(&format!(
            "no tests on {dataset}: they need a finished run of {} and of another method",
            paper.ours
        ));
        return Ok(());
    }
    let comparison = Comparison::new("dice", &merged)?;
    let [_, tests] = tables(&comparison);
    let title = format!("{dataset}: every method against {}", paper.ours);
    let caption = format!(
        "Difference of the patients' mean Dice (method − {}: negative where {} is better), 95 % \
         bootstrap interval; two-sided Wilcoxon signed-rank test, Holm's correction for all rows",
        paper.ours, paper.ours
    );
    let blocks = [(caption, tests)];
    let file = |extension: &str| out.join(format!("tests-{dataset}.{extension}"));
    let markdown = section(&title, &blocks, Table::markdown, "\n");
    console::write_file(&file("md"), format!("#{markdown}").as_bytes())?;
    console::write_file(&file("csv"), comparison_csv(&comparison).as_bytes())?;
    console::write_file(&file("tex"), latex(&title, &blocks).as_bytes())?;
    console::print_json(&comparison, &file("json").to_string_lossy())?;
    let _ = write!(report, "\n#{markdown}");
    Ok(())
}

/// Runs of one seed and fold must have been tested on the same patients.
fn check_draws(finished: &[&Finished<'_>], runs: &[(&str, Vec<ScoredRun>)]) -> Result<()> {
    let draws: BTreeSet<_> = finished.iter().map(|run| draw(run.cell)).collect();
    for wanted in draws {
        let mut of_draw = Vec::new();
        for (method, of_method) in runs {
            let cells = finished.iter().filter(|run| run.cell.experiment.method.label == *method);
            let pairs = cells.zip(of_method).filter(|(run, _)| draw(run.cell) == wanted);
            of_draw.extend(pairs.map(|(_, run)| run.clone()));
        }
        check_splits(&of_draw)?;
    }
    Ok(())
}

/// The page of `duomo report` for the runs of the first seed and fold, our method before the others.
fn write_page(
    out: &Path,
    dataset: &str,
    paper: &Paper,
    finished: &[&Finished<'_>],
    report: &mut String,
) -> Result<()> {
    let cells = finished.iter().map(|run| run.cell);
    let mut cells: Vec<&Cell> = cells.filter(|cell| draw(cell) == draw(finished[0].cell)).collect();
    cells.sort_by_key(|cell| cell.experiment.method.label != paper.ours);
    let runs = cells.into_iter().map(|cell| ReportedRun::read(&cell.folder));
    let page = page(&runs.collect::<Result<Vec<_>>>()?, WORST_SHOWN)?;
    let name = format!("report-{dataset}.html");
    console::write_file(&out.join(&name), page.as_bytes())?;
    let _ =
        write!(report, "\nScores, cases slice by slice, curves, provenance: [{name}]({name}).\n");
    Ok(())
}

fn write_figures(
    out: &Path,
    dataset: &str,
    finished: &[&Finished<'_>],
    report: &mut String,
) -> Result<()> {
    let runs: Vec<(&Cell, &Summary)> =
        finished.iter().map(|run| (run.cell, &run.summary)).collect();
    let name = format!("fig6-{dataset}.png");
    if figures::write_methods(&runs, &out.join(&name))? {
        let _ = write!(
            report,
            "\nFig. 6: of each modality the patient whose Dice, averaged over methods, is the median.\n\n\
             ![image, reference and every method]({name})\n"
        );
    }
    for (cell, _) in &runs {
        let name = format!("curves/{}.png", cell.name);
        figures::write_curve(cell, &out.join(&name))?;
    }
    let _ = write!(report, "\nLearning curves of every run: `curves/{dataset}-*.png`.\n");
    Ok(())
}
