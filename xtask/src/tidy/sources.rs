//! Rules for a single source file: length, printing, unsafe code, loose ends.

use super::code::code_only;
use super::{Finding, SourceFile};

/// Files whose length is limited.
pub(super) const EXTENSIONS: [&str; 3] = [".rs", ".cu", ".py"];

/// Longest file that a reader is asked to hold in mind.
const LINES_MAX: usize = 400;

/// Crates that need `unsafe` for SIMD and CUDA launches.
const MAY_BE_UNSAFE: [&str; 2] = ["crates/ops/", "crates/affinity/"];

/// Crates that talk to the terminal.
const MAY_PRINT: [&str; 1] = ["crates/cli/"];

/// Code that must not stay, and what to do instead.
const LOOSE_ENDS: [(&str, &str); 3] = [
    ("todo!", "write the code or remove its caller"),
    ("unimplemented!", "return an error that says what is not supported"),
    ("#[ignore", "make the test fast or delete it: a test that never runs proves nothing"),
];

const PRINTING: [&str; 4] = ["println!", "eprintln!", "print!", "eprint!"];

/// Checks one file against every rule of this module.
pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = length(file);
    if file.is_rust() {
        let code = code_only(&file.text);
        findings.extend(forbids_unsafe(file, &code));
        findings.extend(printing(file, &code));
        findings.extend(loose_ends(file, &code));
        findings.extend(wide_allows(file, &code));
    }
    findings
}

fn length(file: &SourceFile) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if !EXTENSIONS.iter().any(|extension| file.path.ends_with(extension)) || lines <= LINES_MAX {
        return Vec::new();
    }
    let message = format!("{lines} lines, at most {LINES_MAX}; split the file by concept");
    vec![finding(file, LINES_MAX + 1, "length", message)]
}

fn forbids_unsafe(file: &SourceFile, code: &str) -> Vec<Finding> {
    let is_root = ["/src/lib.rs", "/src/main.rs"].iter().any(|root| file.path.ends_with(root));
    let may = MAY_BE_UNSAFE.iter().any(|folder| file.path.starts_with(folder));
    if !is_root || may || code.contains("#![forbid(unsafe_code)]") {
        return Vec::new();
    }
    let message = "add `#![forbid(unsafe_code)]`; only ops and affinity may hold unsafe code";
    vec![finding(file, 1, "unsafe", message.into())]
}

fn printing(file: &SourceFile, code: &str) -> Vec<Finding> {
    let is_library = file.path.starts_with("crates/") && file.path.contains("/src/");
    if !is_library || MAY_PRINT.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    let breaches = occurrences(code, &PRINTING);
    let message = |word| format!("`{word}` below cli; return the text or send an event");
    breaches.map(|(line, word)| finding(file, line, "printing", message(word))).collect()
}

fn loose_ends(file: &SourceFile, code: &str) -> Vec<Finding> {
    let words = LOOSE_ENDS.map(|(word, _)| word);
    let remedy = |word| LOOSE_ENDS.iter().find(|(known, _)| *known == word).map_or("", |end| end.1);
    occurrences(code, &words)
        .map(|(line, word)| finding(file, line, "loose end", format!("`{word}`; {}", remedy(word))))
        .collect()
}

/// Crate-wide and module-wide allowances without a reason.
fn wide_allows(file: &SourceFile, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for opening in ["#![allow(", "#![expect("] {
        for (start, _) in code.match_indices(opening) {
            let attribute = code[start..].split(']').next().unwrap_or_default();
            if !attribute.contains("reason") {
                let line = 1 + code[..start].matches('\n').count();
                let message = "allowance without a reason; move it to the item as \
                               `#[expect(lint, reason = \"…\")]`";
                findings.push(finding(file, line, "wide allow", message.into()));
            }
        }
    }
    findings
}

/// Every line, counted from 1, that holds one of `words` at the start of a word.
fn occurrences<'a>(
    code: &'a str,
    words: &'a [&'a str],
) -> impl Iterator<Item = (usize, &'a str)> + 'a {
    code.lines().enumerate().flat_map(move |(index, line)| {
        words.iter().filter(|word| has_word(line, word)).map(move |word| (index + 1, *word))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        !line[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

fn finding(file: &SourceFile, line: usize, rule: &'static str, message: String) -> Finding {
    Finding { file: file.path.clone(), line, rule, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let file = SourceFile { path: path.into(), text: text.into() };
        check(&file).into_iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn a_file_of_401_lines_is_too_long() {
        for path in ["scripts/a.py", "crates/ops/src/a.cu", "tests/a.rs"] {
            assert_eq!(rules(path, &"\n".repeat(400)), [], "{path}");
            assert_eq!(rules(path, &"\n".repeat(401)), [("length", 401)], "{path}");
        }
    }

    #[test]
    fn crate_roots_forbid_unsafe_code() {
        assert_eq!(rules("crates/data/src/lib.rs", "mod a;"), [("unsafe", 1)]);
        assert_eq!(rules("crates/data/src/lib.rs", "// #![forbid(unsafe_code)]"), [("unsafe", 1)]);
        assert_eq!(rules("crates/data/src/lib.rs", "#![forbid(unsafe_code)]"), []);
        assert_eq!(rules("crates/ops/src/lib.rs", "mod a;"), []);
        assert_eq!(rules("crates/data/src/other.rs", "mod a;"), []);
    }

    #[test]
    fn libraries_do_not_print() {
        let text = "fn f() {\n    println!(\"loss\");\n    eprint!(\"x\");\n}";

        assert_eq!(rules("crates/train/src/a.rs", text), [("printing", 2), ("printing", 3)]);
        assert_eq!(rules("crates/cli/src/a.rs", text), []);
        assert_eq!(rules("crates/train/src/a.rs", "/// println!(\"an example\")"), []);
    }

    #[test]
    fn loose_ends_are_found_in_code_only() {
        let loose = "fn f() { todo!() }\n#[ignore = \"slow\"]\nunimplemented!()";

        assert_eq!(
            rules("crates/data/src/a.rs", loose),
            [("loose end", 1), ("loose end", 2), ("loose end", 3)]
        );
        assert_eq!(rules("crates/data/src/a.rs", "// todo!() said \"#[ignore]\""), []);
        assert_eq!(rules("crates/data/src/a.rs", "my_todo!()"), []);
    }

    #[test]
    fn wide_allowances_need_a_reason() {
        let bare = "\n#![allow(\n    dead_code,\n)]";

        assert_eq!(rules("xtask/src/a.rs", bare), [("wide allow", 2)]);
        assert_eq!(rules("xtask/src/a.rs", "#![allow(dead_code, reason = \"why\")]"), []);
        assert_eq!(rules("xtask/src/a.rs", "#[allow(dead_code)]"), []);
    }
}
