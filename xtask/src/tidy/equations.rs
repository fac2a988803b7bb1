//! Where each equation of the paper is implemented and where it is tested.
//!
//! The spelling `Eq. N` means the paper's own equation; equations of other works are cited in
//! brackets, as `Eq. (N)`, and are not counted.

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
            } else if file.path.starts_with("crates/") {
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
    let after = |name: &'static str| line.match_indices(name).map(|(at, name)| at + name.len());
    after("Eq. ").chain(after("Eqs. ")).any(|start| numbers(&line[start..]).contains(&number))
}

/// The numbers of a list such as `2`, `2, 3` or `2 and 3` at the start of `text`.
fn numbers(text: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    let mut rest = text;
    loop {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Ok(number) = rest[..digits].parse() else { return numbers };
        numbers.push(number);
        rest = &rest[digits..];
        let separator = [" and ", ", ", ","].into_iter().find(|between| rest.starts_with(between));
        let Some(separator) = separator else { return numbers };
        rest = &rest[separator.len()..];
    }
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
        let text = "// Eq. 2\n/// Eq. 21\n/// [Huttenlocher1993] Eq. (2)";

        assert!(index(&[file("crates/ops/src/a.rs", text)])[1].documented.is_empty());
    }

    #[test]
    fn lists_of_equations_are_read() {
        assert_eq!(numbers("2 and 3, differentiable"), [2, 3]);
        assert_eq!(numbers("2,3"), [2, 3]);
        assert!(numbers("(1)").is_empty());
        assert!(names_equation("/// Eqs. 2 and 3", 3) && names_equation("/// see Eq. 4.", 4));
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
