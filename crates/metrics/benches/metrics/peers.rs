//! Other tools, timed by `scripts/bench_metrics_peers.py` on the same arrays.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::cases::{Case, LABELS};

/// The other tools, the fastest on segmentations as they usually are first.
const TOOLS: [&str; 4] = ["mikan-rs", "surface-distance", "monai", "SimpleITK"];

/// Voxels of the largest case that every tool gets gone wrong, too: some take seconds as it is.
const SMALL: usize = 256 * 256 * 160;

/// What the script wrote.
pub(crate) struct Peers {
    pub(crate) json: Value,
}

impl Peers {
    /// Writes the arrays to `folder` and runs the script there: all tools on the cases as they are, the
    /// fastest one also on those gone wrong whose name contains `only`, and with `all_on_spoiled`
    /// all tools on those of small cases.
    pub(crate) fn measure(
        python: &Path,
        folder: &Path,
        cases: &[Case],
        only: &str,
        all_on_spoiled: bool,
    ) -> Self {
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.join(name), bytes).expect("the arrays can be written");
        };
        let mut listed = Vec::new();
        let mut list = |case: &Case, reference: &str, tools: Value| {
            write(&format!("{}.prediction", case.name), &case.prediction);
            listed.push(json!({
                "name": case.name, "reference": reference, "shape": case.shape,
                "spacing_mm": case.spacing_mm, "labels": LABELS, "tools": tools,
            }));
        };
        for case in cases {
            write(&format!("{}.reference", case.name), &case.reference);
            list(case, &case.name, Value::Null);
        }
        for case in cases {
            let is_for_all = all_on_spoiled && case.reference.len() <= SMALL;
            for spoiled in case.spoiled().iter().filter(|spoiled| spoiled.name.contains(only)) {
                let tools = if is_for_all { &TOOLS[..] } else { &TOOLS[..1] };
                list(spoiled, &case.name, json!(tools));
            }
        }
        write("cases.json", Value::from(listed).to_string().as_bytes());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/bench_metrics_peers.py");
        let status = Command::new(python).arg(script).arg(folder).status();
        assert!(status.is_ok_and(|status| status.success()), "{script} failed");
        let text = std::fs::read(folder.join("peers.json")).expect("the script writes its results");
        Self { json: serde_json::from_slice(&text).expect("the script writes JSON") }
    }

    /// Returns the seconds of each run of each tool for one case.
    pub(crate) fn seconds(&self, case: &str) -> Vec<(&str, Vec<f64>)> {
        let tools = self.json["seconds"][case].as_object().into_iter().flatten();
        let runs = |runs: &Value| {
            runs.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
        };
        tools.map(|(tool, seconds)| (tool.as_str(), runs(seconds))).collect()
    }
}
