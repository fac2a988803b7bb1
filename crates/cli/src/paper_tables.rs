//! A filled table of the paper as tables of texts and as CSV.

use std::fmt::Write as _;

use duomo_train::{Block, FilledTable, Measure, Statistic, Value};

use crate::table::{Align, Table, UNDEFINED, number, quoted};

/// Captioned tables: one per measure, and one of missed and spurious cases.
pub(crate) fn blocks(table: &FilledTable) -> Vec<(String, Table)> {
    let mut blocks: Vec<(String, Table)> =
        table.blocks.iter().map(|block| (caption(block), block_table(block))).collect();
    let caption = "Missed / spurious cases (of tested ones, over all runs)".to_owned();
    blocks.push((caption, counts_table(table)));
    blocks
}

fn caption(block: &Block) -> String {
    let mut caption = block.measure.title().to_owned();
    let has_paper =
        block.rows.iter().flat_map(|row| &row.values).any(|value| value.paper.is_some());
    if has_paper {
        caption.push_str("; paper: as printed");
    }
    let seeds = block.rows.iter().flat_map(|row| &row.values).any(|v| v.sd_of_seeds.is_some());
    if seeds {
        caption.push_str("; in brackets: sd of the seeds' means");
    }
    caption
}

/// Two rows per method where the paper has one: ours, and the paper's.
fn block_table(block: &Block) -> Table {
    let titles: Vec<String> =
        block.columns.iter().map(|(modality, class)| format!("{modality} {class}")).collect();
    let mut columns = vec![("method", Align::Left), ("", Align::Left)];
    columns.extend(titles.iter().map(|title| (&title[..], Align::Right)));
    let mut table = Table::new(&columns);
    for row in &block.rows {
        let names = [row.method.clone(), "ours".to_owned()];
        let values = row.values.iter().map(|value| ours(block.measure, value));
        table.push(names.into_iter().chain(values));
        for (column, value) in row.values.iter().enumerate() {
            if value.best {
                table.mark(2 + column);
            }
        }
        if row.values.iter().any(|value| value.paper.is_some()) {
            let names = [String::new(), "paper".to_owned()];
            let values = row.values.iter().map(|value| number(value.paper, 2));
            table.push(names.into_iter().chain(values));
        }
    }
    table
}

fn ours(measure: Measure, value: &Value) -> String {
    let Some(Statistic { mean, sd, median, .. }) = value.ours else { return UNDEFINED.to_owned() };
    let spread = number(sd, 2);
    let mut text = match measure {
        Measure::DicePercent => format!("{mean:.2} ± {spread}"),
        Measure::HausdorffMm => format!("{mean:.2} ± {spread} ({median:.2})"),
        Measure::HausdorffVoxels => format!("{median:.2}"),
    };
    if let Some(sd) = value.sd_of_seeds {
        let _ = write!(text, " [{sd:.2}]");
    }
    if value.undefined > 0 {
        let _ = write!(text, " ({} undefined)", value.undefined);
    }
    text
}

fn counts_table(table: &FilledTable) -> Table {
    let columns = table.counts.first().map(|row| &row.counts[..]).unwrap_or_default();
    let titles: Vec<String> =
        columns.iter().map(|column| format!("{} {}", column.modality, column.class)).collect();
    let mut columns = vec![("method", Align::Left), ("runs", Align::Right)];
    columns.extend(titles.iter().map(|title| (&title[..], Align::Right)));
    let mut text = Table::new(&columns);
    for row in &table.counts {
        let counts = row.counts.iter().map(|counts| {
            let absent = match counts.absent {
                0 => String::new(),
                absent => format!(", {absent} absent"),
            };
            format!("{} / {} of {}{absent}", counts.missed, counts.spurious, counts.cases)
        });
        text.push([row.method.clone(), row.runs.to_string()].into_iter().chain(counts));
    }
    text
}

/// One line per measure, method and column; an undefined value is an empty field.
pub(crate) fn csv(table: &FilledTable) -> String {
    let mut text = String::from(
        "table,measure,method,modality,class,mean,sd,median,patients,undefined,sd_of_seeds,paper,best,missed,spurious\n",
    );
    for block in &table.blocks {
        for row in &block.rows {
            for ((modality, class), value) in block.columns.iter().zip(&row.values) {
                let counts = table.counts.iter().find(|counts| counts.method == row.method);
                let counts = counts.and_then(|counts| {
                    counts.counts.iter().find(|c| c.modality == *modality && c.class == *class)
                });
                let field = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
                let ours = value.ours;
                let fields = [
                    field(ours.map(|ours| ours.mean)),
                    field(ours.and_then(|ours| ours.sd)),
                    field(ours.map(|ours| ours.median)),
                    ours.map_or(0, |ours| ours.n).to_string(),
                    value.undefined.to_string(),
                    field(value.sd_of_seeds),
                    field(value.paper),
                    value.best.to_string(),
                    counts.map_or_else(String::new, |counts| counts.missed.to_string()),
                    counts.map_or_else(String::new, |counts| counts.spurious.to_string()),
                ];
                let _ = writeln!(
                    text,
                    "{},{},{},{},{},{}",
                    quoted(&table.name),
                    block.measure.as_str(),
                    quoted(&row.method),
                    quoted(modality),
                    quoted(class),
                    fields.join(",")
                );
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use duomo_train::{CountRow, Counts, Row};
    use expect_test::expect;

    use super::*;

    fn value(mean: f64, best: bool) -> Value {
        let ours = Statistic { mean, sd: Some(1.5), median: mean - 1.0, n: 4 };
        Value { ours: Some(ours), best, paper: Some(90.17), ..Value::default() }
    }

    fn example() -> FilledTable {
        let columns = vec![("LGE".to_owned(), "LV".to_owned())];
        let rows = [("Single", value(88.25, false)), ("CSA (ours)", value(89.5, true))];
        let rows = rows.map(|(method, value)| Row { method: method.into(), values: vec![value] });
        let counts = |method: &str| CountRow {
            method: method.into(),
            runs: 1,
            counts: vec![Counts {
                modality: "LGE".into(),
                class: "LV".into(),
                cases: 4,
                missed: 1,
                spurious: 0,
                absent: 0,
            }],
        };
        FilledTable {
            schema: "duomo.table/1",
            name: "table1".into(),
            title: "Table 1".into(),
            source: "a paper".into(),
            blocks: vec![Block { measure: Measure::DicePercent, columns, rows: rows.into() }],
            counts: vec![counts("Single"), counts("CSA (ours)")],
        }
    }

    #[test]
    fn the_papers_number_stands_below_ours_and_the_best_is_bold() {
        let [(caption, dice), (_, counts)] = &blocks(&example())[..] else { panic!("two blocks") };

        assert_eq!(caption, "Dice in %, mean ± sd over patients; paper: as printed");
        expect![[r"
            | method     |       |           LGE LV |
            | ---------- | ----- | ---------------: |
            | Single     | ours  |     88.25 ± 1.50 |
            |            | paper |            90.17 |
            | CSA (ours) | ours  | **89.50 ± 1.50** |
            |            | paper |            90.17 |
        "]]
        .assert_eq(&dice.markdown());
        assert!(counts.markdown().contains("|    1 | 1 / 0 of 4 |"), "{}", counts.markdown());
    }

    #[test]
    fn csv_has_a_line_per_value() {
        let text = csv(&example());

        assert_eq!(
            text.lines().nth(2),
            Some("table1,dice-percent,CSA (ours),LGE,LV,89.5,1.5,88.5,4,0,,90.17,true,1,0")
        );
    }
}
