//! Rules that compilers do not know. Each is a pure function from texts to findings.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::console;

mod code;
mod equations;
mod layers;
mod sources;

/// Folders whose files are checked.
const FOLDERS: [&str; 4] = ["crates", "scripts", "tests", "xtask"];

/// A breach of a rule: where it is, which rule it breaks and what to do about it.
#[derive(Debug, PartialEq)]
struct Finding {
    /// File, from the workspace's root.
    file: String,
    /// Line, counted from 1.
    line: usize,
    /// Short name of the rule.
    rule: &'static str,
    /// What is wrong, and the remedy.
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}: {}", self.file, self.line, self.rule, self.message)
    }
}

/// A file of the tree, with its path from the workspace's root.
#[derive(Debug)]
struct SourceFile {
    path: String,
    text: String,
}

impl SourceFile {
    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }
}

/// Checks the whole tree and prints the equation index.
///
/// # Errors
///
/// If a file cannot be read, or if any rule is broken; every breach is printed first.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(root, folder, &mut files)?;
    }
    let index = equations::index(&files);
    console::say(&equations::table(&index));

    let mut findings = equations::check(&index);
    findings.extend(layers::check(&files));
    findings.extend(files.iter().flat_map(sources::check));
    for finding in &findings {
        console::say(&finding.to_string());
    }
    if !findings.is_empty() {
        bail!("{} finding(s) in {} files", findings.len(), files.len());
    }
    console::say(&format!("tidy: {} files, no finding", files.len()));
    Ok(())
}

/// Reads the text files below `folder` in the order of their names.
fn collect(root: &Path, folder: &str, files: &mut Vec<SourceFile>) -> Result<()> {
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        return Ok(()); // An optional folder that this checkout lacks.
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in names {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            collect(root, &path, files)?;
        } else if is_checked(&name) {
            let text = fs::read_to_string(root.join(&path))
                .with_context(|| format!("cannot read {path}"))?;
            files.push(SourceFile { path, text });
        }
    }
    Ok(())
}

fn is_checked(name: &str) -> bool {
    name == "Cargo.toml" || sources::EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_prints_file_line_rule_and_remedy() {
        let finding = Finding {
            file: "crates/ops/src/lib.rs".into(),
            line: 7,
            rule: "printing",
            message: "return the text to the caller".into(),
        };

        assert_eq!(
            finding.to_string(),
            "crates/ops/src/lib.rs:7: printing: return the text to the caller"
        );
    }

    #[test]
    fn this_tree_can_be_collected_in_a_stable_order() {
        let mut files = Vec::new();

        collect(crate::workspace_root(), "xtask", &mut files).unwrap();

        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths[..2], ["xtask/Cargo.toml", "xtask/src/bench.rs"]);
    }
}
