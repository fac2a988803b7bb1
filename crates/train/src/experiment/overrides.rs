//! `--set key=value`: changes one key of an experiment by its dotted name.

use anyhow::{Context, Result, anyhow};
use toml::Value;

use super::Experiment;

/// Returns the experiment with every `section.key=value` applied, in order.
///
/// Values are TOML (`schedule.steps=200`, `schedule.network.head="transposed"`); a bare word that
/// is no TOML value is taken as a string.
///
/// # Errors
///
/// A text without `=`, a key that does not exist, and a value of the wrong type, each by name.
pub(super) fn apply_overrides(experiment: &Experiment, overrides: &[String]) -> Result<Experiment> {
    let mut tree = Value::try_from(experiment).context("cannot write the experiment as TOML")?;
    for text in overrides {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            anyhow!("--set takes key=value, for example schedule.steps=200; got `{text}`")
        })?;
        set(&mut tree, key, parse(value))?;
    }
    let names = overrides.join(", ");
    tree.try_into()
        .map_err(|error: toml::de::Error| anyhow!("in --set {names}: {}", error.message()))
}

fn parse(value: &str) -> Value {
    toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_owned()))
}

fn set(tree: &mut Value, key: &str, value: Value) -> Result<()> {
    let (parents, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut node = tree;
    for part in parents.split('.').filter(|part| !part.is_empty()) {
        node = child(node, part)
            .ok_or_else(|| anyhow!("--set {key}: there is no `{part}` in the experiment"))?;
    }
    let table = node
        .as_table_mut()
        .ok_or_else(|| anyhow!("--set {key}: `{parents}` is a value, not a section"))?;
    table.insert(last.to_owned(), value);
    Ok(())
}

/// A table's entry, or an array's element by its number.
fn child<'a>(node: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    match node {
        Value::Table(table) => table.get_mut(part),
        Value::Array(array) => array.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    }
}
