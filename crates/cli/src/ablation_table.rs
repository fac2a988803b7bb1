//! An ablation's table as texts and as CSV.

use std::fmt::Write as _;

use duomo_train::{AblationTable, Statistic};

use crate::table::{Align, Table, UNDEFINED, magnitude, number, quoted};

/// The captioned table: one row per variant.
pub(crate) fn blocks(table: &AblationTable) -> [(String, Table); 1] {
    let of_each = |what: &str| -> Vec<String> {
        table.modalities.iter().map(|modality| format!("{modality} {what}")).collect()
    };
    let (validation, test) = (of_each("validation"), of_each("test"));
    let mut columns = vec![("variant", Align::Left), ("runs", Align::Right)];
    columns.push(("validation", Align::Right));
    columns.extend(validation.iter().chain(&test).map(|title| (&title[..], Align::Right)));
    columns.extend([("pull, first step", Align::Right), ("pull, last step", Align::Right)]);
    let mut rows = Table::new(&columns);
    for row in &table.rows {
        let mean = |value: &Option<Statistic>| number(value.map(|value| value.mean), 2);
        let mut cells = vec![row.variant.clone(), row.runs.to_string(), mean(&row.validation)];
        cells.extend(row.validation_of.iter().map(mean));
        cells.extend(row.test_of.iter().map(|value| spread(value.as_ref())));
        let pulls = [row.pull_at_start, row.pull_at_end];
        cells.extend(pulls.map(|pull| magnitude(pull.map(|pull| pull.mean))));
        rows.push(cells);
        if row.best_validation {
            rows.mark(2);
        }
    }
    let patients = |statistics: &mut dyn Iterator<Item = &Option<Statistic>>| {
        statistics.flatten().map(|statistic| statistic.n).max().unwrap_or(0)
    };
    let counts: Vec<String> = (0..table.modalities.len())
        .map(|modality| {
            let of_modality = &mut table.rows.iter().map(|row| &row.test_of[modality]);
            format!("{} {}", patients(of_modality), table.modalities[modality])
        })
        .collect();
    let caption = format!(
        "Mean foreground Dice in %: of the validation patients at the step whose weights were tested, \
         and mean ± sd over {} test patients",
        counts.join(" and ")
    );
    [(caption, rows)]
}

fn spread(value: Option<&Statistic>) -> String {
    match value {
        Some(Statistic { mean, sd: Some(sd), .. }) => format!("{mean:.2} ± {sd:.2}"),
        Some(Statistic { mean, .. }) => format!("{mean:.2}"),
        None => UNDEFINED.to_owned(),
    }
}

/// One line per variant and number; an undefined value is an empty field.
pub(crate) fn csv(table: &AblationTable) -> String {
    let mut text = String::from("grid,dataset,variant,runs,quantity,modality,mean,sd,n\n");
    for row in &table.rows {
        let mut line = |quantity: &str, modality: &str, value: Option<Statistic>| {
            let field = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
            let _ = writeln!(
                text,
                "{},{},{},{},{quantity},{},{},{},{}",
                quoted(&table.grid),
                quoted(&table.dataset),
                quoted(&row.variant),
                row.runs,
                quoted(modality),
                field(value.map(|value| value.mean)),
                field(value.and_then(|value| value.sd)),
                value.map_or(0, |value| value.n)
            );
        };
        line("validation-dice-percent", "", row.validation);
        for (modality, name) in table.modalities.iter().enumerate() {
            line("validation-dice-percent", name, row.validation_of[modality]);
            line("test-dice-percent", name, row.test_of[modality]);
        }
        line("pull-first-step", "", row.pull_at_start);
        line("pull-last-step", "", row.pull_at_end);
    }
    text
}

#[cfg(test)]
mod tests {
    use duomo_train::AblationRow;
    use expect_test::expect;

    use super::*;

    fn one(mean: f64) -> Statistic {
        Statistic { mean, sd: None, median: mean, n: 1 }
    }

    fn row(variant: &str, validation: f64, pull: f64) -> AblationRow {
        let test = Statistic { mean: 80.0, sd: Some(2.5), median: 80.0, n: 4 };
        AblationRow {
            variant: variant.to_owned(),
            runs: 1,
            validation: Some(one(validation)),
            best_validation: validation > 80.0,
            validation_of: vec![Some(one(validation))],
            test_of: vec![Some(test)],
            pull_at_start: Some(one(pull)),
            pull_at_end: None,
        }
    }

    fn table() -> AblationTable {
        AblationTable {
            schema: "duomo.ablation/1",
            grid: "ablation-λ".to_owned(),
            dataset: "mscmr".to_owned(),
            modalities: vec!["LGE".to_owned()],
            rows: vec![row("λ 0", 79.0, 0.0), row("λ 1, at all", 81.0, 1.25e-7)],
        }
    }

    #[test]
    fn the_best_validation_is_bold_and_a_tiny_pull_keeps_its_order_of_magnitude() {
        let [(caption, text)] = blocks(&table());

        assert!(caption.ends_with("mean ± sd over 4 LGE test patients"), "{caption}");
        expect![[r"
            | variant     | runs | validation | LGE validation |     LGE test | pull, first step | pull, last step |
            | ----------- | ---: | ---------: | -------------: | -----------: | ---------------: | --------------: |
            | λ 0         |    1 |      79.00 |          79.00 | 80.00 ± 2.50 |                0 |               – |
            | λ 1, at all |    1 |  **81.00** |          81.00 | 80.00 ± 2.50 |           1.2e-7 |               – |
        "]]
        .assert_eq(&text.markdown());
    }

    #[test]
    fn csv_has_a_line_per_number() {
        let text = csv(&table());

        assert_eq!(
            text.lines().nth(8),
            Some("ablation-λ,mscmr,\"λ 1, at all\",1,test-dice-percent,LGE,80,2.5,4")
        );
        assert_eq!(text.lines().count(), 1 + 2 * 5);
    }
}
