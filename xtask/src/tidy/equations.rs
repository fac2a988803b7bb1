//! Where each equation of the paper is implemented and where it is tested.
//!
//! `Eq. 3`, `Eq. (3)`, `Eqs. 2 and 3` and `Eqs. 2 to 4` mean the paper's own equations. Those of
//! other works follow their citation, as in `[Huttenlocher1993] Eq. (1)`, and are not counted.

use std::fmt::Write as _;

use super::{Finding, SourceFile};

/// The paper's numbered equations.
const EQUATIONS: [(usize, &str); 5] = [
    (1, "modality-specific batch norm"),
    (2, "class-specific map"),
    (3, "class-specific affinity"),
    (4, "affinity loss"),
    (5, "total loss"),
];

/// How the paper is cited.
const PAPER: &str = "[Chen2020]";

/// Every spot, as `file:line`, that names one equation.
#[derive(Debug)]
pub(super) struct Entry {
    number: usize,
    title: &'static str,
    documented: Vec<String>,
    tested: Vec<String>,
}

/// Finds the spots of every equation in the crates' doc comments and in test files.
pub(super) fn index(files: &[SourceFile]) -> Vec<Entry> {
    let entry = |&(number, title): &(usize, &'static str)| {
        let mut entry = Entry { number, title, documented: Vec::new(), tested: Vec::new() };
        for file in files.iter().filter(|file| file.is_rust()) {
            if is_test(&file.path) {
                entry.tested.extend(spots(file, number, |_| true));
            } else if file.path.starts_with("crates/") && file.path.contains("/src/") {
                entry.documented.extend(spots(file, number, is_doc_comment));
            }
        }
        entry
    };
    EQUATIONS.iter().map(entry).collect()
}

/// The index as text: the first spot of each kind and how many more there are.
pub(super) fn table(index: &[Entry]) -> String {
    let mut text = String::from("equation index");
    for Entry { number, title, documented, tested } in index {
        let _ = write!(text, "\n  Eq. {number}  {title}");
        let _ = write!(text, "\n         described  {}", first_and_more(documented));
        let _ = write!(text, "\n         tested     {}", first_and_more(tested));
    }
    text
}

/// Equations that no documentation or no test names.
pub(super) fn check(index: &[Entry]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Entry { number, title, documented, tested } in index {
        let mut miss = |what: &str| {
            let message =
                format!("Eq. {number} ({title}) is named in no {what}; add `Eq. {number}`");
            findings.push(Finding { file: "crates".into(), line: 1, rule: "equations", message });
        };
        if documented.is_empty() {
            miss("doc comment of what computes it");
        }
        if tested.is_empty() {
            miss("test file (tests.rs or tests/) that checks it");
        }
    }
    findings
}

fn spots(file: &SourceFile, number: usize, counts: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    let named = lines.filter(|(_, line)| counts(line) && names_equation(line, number));
    named.map(|(index, _)| format!("{}:{}", file.path, index + 1)).collect()
}

fn names_equation(line: &str, number: usize) -> bool {
    ["Eq. ", "Eqs. "].iter().any(|name| {
        line.match_indices(name).any(|(start, _)| {
            !cites_another_work(&line[..start])
                && numbers(&line[start + name.len()..]).contains(&number)
        })
    })
}

/// Whether a line names a year before the equation, and not the paper's citation.
fn cites_another_work(before: &str) -> bool {
    let mut numbers = before.split(|c: char| !c.is_ascii_digit());
    let has_year = numbers.any(|n| n.len() == 4 && (n.starts_with("19") || n.starts_with("20")));
    has_year && !before.contains(PAPER)
}

/// The numbers of a list such as `2`, `(2)`, `2, 3`, `2 and 3` or `2 to 4` at the start of `text`.
fn numbers(text: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    let (mut rest, mut is_range) = (text, false);
    while let Some((number, after)) = leading_number(rest) {
        let first = numbers.last().filter(|_| is_range).map_or(number, |last| last + 1);
        numbers.extend(first..=number);
        let separator = SEPARATORS.iter().find(|(between, _)| after.starts_with(between));
        let Some((between, range)) = separator else { break };
        (rest, is_range) = (&after[between.len()..], *range);
    }
    numbers
}

/// What may stand between two numbers, and whether it means all between them.
const SEPARATORS: [(&str, bool); 6] =
    [(" and ", false), (", ", false), (",", false), (" to ", true), ("–", true), ("-", true)];

/// A number, with or without parentheses, and what follows it.
fn leading_number(text: &str) -> Option<(usize, &str)> {
    let inner = text.strip_prefix('(').unwrap_or(text);
    let digits = inner.len() - inner.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = inner[..digits].parse().ok()?;
    let rest = &inner[digits..];
    Some((number, if inner.len() < text.len() { rest.strip_prefix(')')? } else { rest }))
}

fn is_doc_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("///") || line.starts_with("//!")
}

fn is_test(path: &str) -> bool {
    path.starts_with("crates/") && (path.ends_with("/tests.rs") || path.contains("/tests/"))
        || path.starts_with("tests/")
}

fn first_and_more(spots: &[String]) -> String {
    match spots {
        [] => "nowhere".into(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn doc_comments_and_test_files_are_indexed() {
        let files = [
            file("crates/ops/src/norm/mod.rs", "//! Batch norm, Eq. 1.\n/// Eq. 1 again"),
            file("crates/ops/src/norm/tests.rs", "use super::*;\nfn f() {} // Eq. 1"),
        ];

        let index = index(&files);

        assert_eq!(
            index[0].documented,
            ["crates/ops/src/norm/mod.rs:1", "crates/ops/src/norm/mod.rs:2"]
        );
        assert_eq!(index[0].tested, ["crates/ops/src/norm/tests.rs:2"]);
        assert!(table(&index).contains("described  crates/ops/src/norm/mod.rs:1 (and 1 more)"));
    }

    #[test]
    fn plain_comments_longer_numbers_and_other_works_do_not_count() {
        let text = "// Eq. 2\n/// Eq. 21\n/// [Huttenlocher1993] Eqs. (1) and (2)";

        assert!(index(&[file("crates/ops/src/a.rs", text)])[1].documented.is_empty());
        let paper = file("crates/ops/src/a.rs", "/// [Chen2020] Eqs. (1) and (2)");
        assert_eq!(index(&[paper])[1].documented, ["crates/ops/src/a.rs:1"]);
    }

    #[test]
    fn lists_of_equations_are_read() {
        assert_eq!(numbers("2 and 3, differentiable"), [2, 3]);
        assert_eq!(numbers("2,3"), [2, 3]);
        assert_eq!(numbers("(2) to (4) can be read"), [2, 3, 4]);
        assert_eq!(numbers("5."), [5]);
        assert!(numbers("of the paper").is_empty());
    }

    #[test]
    fn equations_without_description_or_test_are_findings() {
        let text = "/// Eq. 1\n/// Eq. 2\n/// Eq. 3\n/// Eq. 4\n";
        let files = [file("crates/a/src/b.rs", text), file("crates/a/tests/it/b.rs", text)];

        let findings = check(&index(&files));

        assert_eq!(findings.len(), 2);
        assert!(findings.iter().all(|finding| finding.message.contains("Eq. 5 (total loss)")));
    }
}
