//! Files of tables in every format, and the report that gathers them.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::console;
use crate::table::Table;

/// Captioned tables under one heading, and the same as data.
pub(super) struct Written<'a, T> {
    /// Name of the files.
    pub(super) name: &'a str,
    /// Heading.
    pub(super) title: &'a str,
    /// Tables with their captions.
    pub(super) blocks: &'a [(String, Table)],
    /// The numbers as CSV.
    pub(super) csv: String,
    /// The numbers for JSON.
    pub(super) data: &'a T,
}

impl<T: Serialize> Written<'_, T> {
    /// Writes Markdown, CSV, LaTeX and JSON into `out` and appends the Markdown to the report.
    ///
    /// # Errors
    ///
    /// A folder that cannot be written to.
    pub(super) fn write(&self, out: &Path, report: &mut String) -> Result<()> {
        let file = |extension: &str| out.join(format!("{}.{extension}", self.name));
        let markdown = markdown(self.title, self.blocks);
        console::write_file(&file("md"), format!("#{markdown}").as_bytes())?;
        console::write_file(&file("csv"), self.csv.as_bytes())?;
        console::write_file(&file("tex"), latex(self.title, self.blocks).as_bytes())?;
        console::print_json(self.data, &file("json").to_string_lossy())?;
        let _ = write!(report, "\n#{markdown}");
        Ok(())
    }
}

fn markdown(title: &str, blocks: &[(String, Table)]) -> String {
    let mut text = format!("# {title}\n");
    for (caption, table) in blocks {
        let _ = write!(text, "\n{caption}\n\n{}", table.markdown());
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
