//! Tables: aligned for the terminal, as Markdown, LaTeX and HTML; fields of CSV.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Where the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table of texts.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    /// Row and column of the cells that stand out.
    marked: BTreeSet<(usize, usize)>,
}

/// Shown where a value is undefined.
pub(crate) const UNDEFINED: &str = "–";

impl Table {
    /// A table with the given headers and no row.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|&(title, align)| (title.to_owned(), align)).collect();
        Self { columns, rows: Vec::new(), marked: BTreeSet::new() }
    }

    /// Adds a row; missing cells stay empty, further ones are dropped.
    pub(crate) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<_> = cells.into_iter().take(self.columns.len()).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Makes a cell of the last row stand out: bold in Markdown and LaTeX, starred elsewhere.
    pub(crate) fn mark(&mut self, column: usize) {
        self.marked.extend(self.rows.len().checked_sub(1).map(|row| (row, column)));
    }

    /// The table with the empty cells of its first column filled from above, for rows that may part.
    pub(crate) fn filled_down(mut self) -> Self {
        for row in 1..self.rows.len() {
            if let ([.., above], [below, ..]) = self.rows.split_at_mut(row)
                && let (Some(above), Some(below)) = (above.first(), below.first_mut())
                && below.is_empty()
            {
                below.clone_from(above);
            }
        }
        self
    }

    /// The table with columns two spaces apart and a rule below the headers.
    pub(crate) fn aligned(&self) -> String {
        let rows = self.marked_rows(|cell| format!("*{cell}"));
        let widths = self.widths(&rows);
        let titles: Vec<_> = self.columns.iter().map(|(title, _)| title.clone()).collect();
        let rule: Vec<_> = widths.iter().map(|&width| "─".repeat(width)).collect();
        let mut text = String::new();
        for row in [&titles, &rule].into_iter().chain(&rows) {
            text.push_str(self.padded(row, &widths, "  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// The table as GitHub-flavoured Markdown, readable as it is too.
    pub(crate) fn markdown(&self) -> String {
        let rows = self.marked_rows(|cell| format!("**{cell}**"));
        let widths: Vec<_> = self.widths(&rows).into_iter().map(|width| width.max(3)).collect();
        let titles: Vec<_> = self.columns.iter().map(|(title, _)| title.clone()).collect();
        let dashes = |((_, align), &width): (&(String, Align), &usize)| match align {
            Align::Left => "-".repeat(width),
            Align::Right => "-".repeat(width - 1) + ":",
        };
        let rule: Vec<_> = self.columns.iter().zip(&widths).map(dashes).collect();
        let mut text = String::new();
        for row in [&titles, &rule].into_iter().chain(&rows) {
            let _ = writeln!(text, "| {} |", self.padded(row, &widths, " | "));
        }
        text
    }

    /// The table as LaTeX, with the rules of the package booktabs.
    pub(crate) fn latex(&self) -> String {
        let letter = |(_, align): &(String, Align)| if *align == Align::Left { 'l' } else { 'r' };
        let letters: String = self.columns.iter().map(letter).collect();
        let line = |cells: &[String]| format!("{} \\\\\n", cells.join(" & "));
        let titles: Vec<_> = self.columns.iter().map(|(title, _)| latex_escaped(title)).collect();
        let mut escaped = self.clone();
        escaped.rows.iter_mut().flatten().for_each(|cell| *cell = latex_escaped(cell));
        let rows = escaped.marked_rows(|cell| format!("\\textbf{{{cell}}}"));
        let rows: String = rows.iter().map(|row| line(row)).collect();
        format!(
            "\\begin{{tabular}}{{{letters}}}\n\\toprule\n{}\\midrule\n{rows}\\bottomrule\n\\end{{tabular}}\n",
            line(&titles)
        )
    }

    /// The table as HTML; columns of numbers have the class `number`, cells that stand out are bold.
    pub(crate) fn html(&self) -> String {
        let mut escaped = self.clone();
        escaped.rows.iter_mut().flatten().for_each(|cell| *cell = html_escaped(cell));
        let line = |tag: &str, cells: &[String]| {
            let cells = self.columns.iter().zip(cells).map(|((_, align), cell)| {
                let class = if *align == Align::Right { " class=\"number\"" } else { "" };
                format!("<{tag}{class}>{cell}</{tag}>")
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let titles: Vec<_> = self.columns.iter().map(|(title, _)| html_escaped(title)).collect();
        let rows = escaped.marked_rows(|cell| format!("<b>{cell}</b>"));
        let rows: String = rows.iter().map(|row| line("td", row)).collect();
        let titles = line("th", &titles);
        format!("<table>\n<thead>\n{titles}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n")
    }

    /// The rows, with `mark` applied to the cells that stand out.
    fn marked_rows(&self, mark: impl Fn(&str) -> String) -> Vec<Vec<String>> {
        let mut rows = self.rows.clone();
        for &(row, column) in &self.marked {
            if let Some(cell) = rows.get_mut(row).and_then(|row| row.get_mut(column)) {
                *cell = mark(cell);
            }
        }
        rows
    }

    fn widths(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let length = |text: &String| text.chars().count();
        let widest = |column: usize| rows.iter().map(|row| length(&row[column])).max();
        let titles = self.columns.iter().enumerate();
        titles.map(|(index, (title, _))| widest(index).unwrap_or(0).max(length(title))).collect()
    }

    fn padded(&self, row: &[String], widths: &[usize], between: &str) -> String {
        let cells = row.iter().zip(&self.columns).zip(widths);
        let padded = cells.map(|((cell, (_, align)), &width)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join(between)
    }
}

/// A number with the given decimals, or [`UNDEFINED`].
pub(crate) fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| UNDEFINED.to_owned(), |value| format!("{value:.decimals$}"))
}

/// A number of any order of magnitude, or [`UNDEFINED`].
pub(crate) fn magnitude(value: Option<f64>) -> String {
    match value {
        Some(0.0) => "0".to_owned(),
        Some(value) if value.abs() < 0.01 => format!("{value:.1e}"),
        value => number(value, 3),
    }
}

/// A field as RFC 4180 wants it.
pub(crate) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Text that HTML shows as it is, in elements and in quoted attributes.
pub(crate) fn html_escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn latex_escaped(cell: &str) -> String {
    let mut text = String::new();
    for character in cell.chars() {
        match character {
            '%' | '&' | '_' | '#' | '$' | '{' | '}' => text.extend(['\\', character]),
            '\\' => text.push_str("\\textbackslash{}"),
            '±' => text.push_str("$\\pm$"),
            '…' => text.push_str("\\dots{}"),
            '–' => text.push_str("--"),
            '−' => text.push_str("$-$"),
            '<' | '>' => text.extend(['$', character, '$']),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn example() -> Table {
        let mut table = Table::new(&[("class", Align::Left), ("Dice", Align::Right)]);
        table.push(["LV".into(), number(Some(0.9123), 3)]);
        table.push(["myocardium".into(), number(None, 3)]);
        table
    }

    #[test]
    fn a_magnitude_keeps_what_is_small() {
        let texts = [Some(0.0), Some(1.25e-7), Some(0.25), Some(31.5), None].map(magnitude);

        assert_eq!(texts, ["0", "1.2e-7", "0.250", "31.500", "–"]);
    }

    #[test]
    fn columns_align_and_lines_have_no_trailing_space() {
        expect![[r"
            class        Dice
            ──────────  ─────
            LV          0.912
            myocardium      –
        "]]
        .assert_eq(&example().aligned());
    }

    #[test]
    fn markdown_marks_number_columns() {
        expect![[r"
            | class      |  Dice |
            | ---------- | ----: |
            | LV         | 0.912 |
            | myocardium |     – |
        "]]
        .assert_eq(&example().markdown());
    }

    #[test]
    fn latex_has_rules_and_no_special_character_of_its_own() {
        let mut table = Table::new(&[("class", Align::Left), ("95 %", Align::Right)]);
        table.push(["left_LV".into(), "0.9 ± 0.1".into()]);

        expect![[r"
            \begin{tabular}{lr}
            \toprule
            class & 95 \% \\
            \midrule
            left\_LV & 0.9 $\pm$ 0.1 \\
            \bottomrule
            \end{tabular}
        "]]
        .assert_eq(&table.latex());
    }

    #[test]
    fn html_marks_number_columns_and_has_no_tag_of_a_cell() {
        let mut table = Table::new(&[("class", Align::Left), ("Dice", Align::Right)]);
        table.push(["<b>LV & \"RV\"".into(), "0.9".into()]);

        expect![[r#"
            <table>
            <thead>
            <tr><th>class</th><th class="number">Dice</th></tr>
            </thead>
            <tbody>
            <tr><td>&lt;b&gt;LV &amp; &quot;RV&quot;</td><td class="number">0.9</td></tr>
            </tbody>
            </table>
        "#]]
        .assert_eq(&table.html());
    }

    #[test]
    fn marked_cells_stand_out_in_every_form() {
        let mut table = example();
        table.push(["100 %".into(), "0.5".into()]);
        table.mark(0);

        assert!(table.aligned().contains("\n*100 % "), "{}", table.aligned());
        assert!(table.markdown().contains("\n| **100 %**  |"), "{}", table.markdown());
        assert!(table.latex().contains("\\textbf{100 \\%} & 0.5"), "{}", table.latex());
    }

    #[test]
    fn fields_with_separators_are_quoted() {
        assert_eq!(quoted("left, \"LV\""), "\"left, \"\"LV\"\"\"");
        assert_eq!(quoted("LV"), "LV");
    }

    #[test]
    fn short_rows_are_filled_and_long_ones_cut() {
        let mut table = Table::new(&[("a", Align::Left), ("b", Align::Left)]);
        table.push(["1".into()]);
        table.push(["1".into(), "2".into(), "3".into()]);

        assert_eq!(table.aligned(), "a  b\n─  ─\n1\n1  2\n");
    }
}
