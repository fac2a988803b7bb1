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
    let mut above = String::new();
    for part in parents.split('.').filter(|part| !part.is_empty()) {
        node = child(node, &above, part).map_err(|problem| anyhow!("--set {key}: {problem}"))?;
        above = if above.is_empty() { part.to_owned() } else { format!("{above}.{part}") };
    }
    if let Value::Table(table) = node {
        table.insert(last.to_owned(), value);
        return Ok(());
    }
    *child(node, &above, last).map_err(|problem| anyhow!("--set {key}: {problem}"))? = value;
    Ok(())
}

/// A table's entry, or an array's element by its number; `above` is what the node is called.
fn child<'a>(node: &'a mut Value, above: &str, part: &str) -> Result<&'a mut Value, String> {
    match node {
        Value::Table(table) => {
            table.get_mut(part).ok_or_else(|| format!("there is no `{part}` in the experiment"))
        }
        Value::Array(array) => {
            let length = array.len();
            let place = part.parse::<usize>().ok();
            place.and_then(|place| array.get_mut(place)).ok_or_else(|| match (length, place) {
                (0, _) => format!("`{above}` is an empty list; set it as a whole"),
                (_, None) => format!(
                    "`{above}` is a list; name an element by its number, as in `{above}.0.{part}`"
                ),
                _ => format!("`{above}` has {length} elements, counted from 0; got `{part}`"),
            })
        }
        _ => Err(format!("`{above}` is a value, not a section")),
    }
}
