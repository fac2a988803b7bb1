//! Which crate may use which, and what each may take from outside.

use super::{Finding, SourceFile};

/// One crate of the workspace and what it may depend on; dev-dependencies are free.
struct Layer {
    name: &'static str,
    /// Crates of this workspace.
    inside: &'static [&'static str],
    /// Crates from elsewhere.
    outside: &'static [&'static str],
}

/// Every crate with what it may use, lowest layer first.
const LAYERS: [Layer; 9] = [
    Layer { name: "duomo-metrics", inside: &[], outside: &["pulp", "rayon", "thiserror"] },
    Layer {
        name: "duomo-data",
        inside: &[],
        outside: &[
            "blake3",
            "flate2",
            "libdeflater",
            "nifti",
            "rand",
            "rand_chacha",
            "rayon",
            "serde",
            "serde_json",
            "thiserror",
            "toml",
        ],
    },
    Layer {
        name: "duomo-phantom",
        inside: &["duomo-data"],
        outside: &["rand", "rand_chacha", "rayon", "thiserror"],
    },
    Layer {
        name: "duomo-ops",
        inside: &[],
        outside: &[
            "candle-core",
            "gemm",
            "half",
            "libloading",
            "rand",
            "rand_chacha",
            "rayon",
            "thiserror",
        ],
    },
    Layer {
        name: "duomo-affinity",
        inside: &["duomo-ops"],
        outside: &["candle-core", "gemm", "rayon", "serde", "thiserror"],
    },
    Layer {
        name: "duomo-model",
        inside: &["duomo-ops"],
        outside: &["candle-core", "rand", "rand_chacha", "rayon", "serde", "thiserror"],
    },
    Layer {
        name: "duomo-train",
        inside: &["duomo-data", "duomo-affinity", "duomo-model", "duomo-metrics", "duomo-ops"],
        outside: &[
            "anyhow",
            "blake3",
            "candle-core",
            "humantime",
            "prost",
            "rayon",
            "safetensors",
            "serde",
            "serde_json",
            "thiserror",
            "toml",
            "tracing",
        ],
    },
    Layer {
        name: "duomo-cli",
        inside: &["duomo-train", "duomo-data", "duomo-metrics", "duomo-phantom"],
        outside: &[
            "anyhow",
            "base64",
            "blake3",
            "clap",
            "glob",
            "image",
            "indicatif",
            "serde",
            "serde_json",
            "signal-hook",
            "toml",
            "tracing",
            "tracing-subscriber",
        ],
    },
    // No candle here: recipes must build in seconds.
    Layer { name: "xtask", inside: &[], outside: &["anyhow", "clap", "toml"] },
];

const TABLE: &str = "LAYERS in xtask/src/tidy/layers.rs";

/// Checks every manifest among `files` against [`LAYERS`].
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let manifests = files.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    manifests.flat_map(manifest).collect()
}

fn manifest(file: &SourceFile) -> Vec<Finding> {
    let table = match file.text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => return vec![finding(file, 1, format!("not TOML: {}", error.message()))],
    };
    let name = table.get("package").and_then(|package| package.get("name"));
    let name = name.and_then(toml::Value::as_str).unwrap_or_default();
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        let message = format!("`{name}` has no layer; add it to {TABLE}");
        return vec![finding(file, 1, message)];
    };
    let mut findings = lints(file, &table);
    for dependency in dependencies(&table) {
        if let Some(message) = breach(layer, &dependency) {
            findings.push(finding(file, line_of(&file.text, &dependency), message));
        }
    }
    findings
}

fn breach(layer: &Layer, dependency: &str) -> Option<String> {
    if dependency.starts_with("duomo-") {
        let allowed = layer.inside.contains(&dependency);
        (!allowed).then(|| format!("{} must not depend on {dependency}; see {TABLE}", layer.name))
    } else {
        let allowed = layer.outside.contains(&dependency);
        (!allowed)
            .then(|| format!("{} may not use {dependency} from outside; see {TABLE}", layer.name))
    }
}

fn lints(file: &SourceFile, table: &toml::Table) -> Vec<Finding> {
    let inherits = table.get("lints").and_then(|lints| lints.get("workspace"));
    if inherits.and_then(toml::Value::as_bool) == Some(true) {
        return Vec::new();
    }
    vec![finding(file, 1, "add `[lints] workspace = true`: one set of lints for all".into())]
}

/// Names in every `dependencies` and `build-dependencies` table, also those of one platform.
fn dependencies(table: &toml::Table) -> Vec<String> {
    let platforms = table.get("target").and_then(toml::Value::as_table);
    let platforms = platforms.into_iter().flat_map(toml::Table::values);
    let tables = platforms.filter_map(toml::Value::as_table).chain([table]);
    let mut names = Vec::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            let entries = table.get(kind).and_then(toml::Value::as_table);
            names.extend(entries.into_iter().flat_map(toml::Table::keys).cloned());
        }
    }
    names
}

fn line_of(text: &str, dependency: &str) -> usize {
    let is_entry = |line: &str| {
        line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    text.lines().position(is_entry).map_or(1, |index| index + 1)
}

fn finding(file: &SourceFile, line: usize, message: String) -> Finding {
    Finding { file: file.path.clone(), line, rule: "layers", message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let file = SourceFile { path: "crates/x/Cargo.toml".into(), text: text.into() };
        check(&[file]).iter().map(ToString::to_string).collect()
    }

    fn package(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{rest}")
    }

    #[test]
    fn every_layer_looks_down() {
        for (height, layer) in LAYERS.iter().enumerate() {
            for used in layer.inside {
                let position = LAYERS.iter().position(|other| other.name == *used);
                assert!(position.is_some_and(|below| below < height), "{} {used}", layer.name);
            }
        }
    }

    #[test]
    fn looking_up_is_refused_with_file_line_and_remedy() {
        let text = package("duomo-metrics", "[dependencies]\nduomo-model.workspace = true\n");

        assert_eq!(
            messages(&text),
            ["crates/x/Cargo.toml:6: layers: duomo-metrics must not depend on duomo-model; \
              see LAYERS in xtask/src/tidy/layers.rs"]
        );
    }

    #[test]
    fn outside_crates_need_permission() {
        let text = package("duomo-data", "[dependencies]\ncandle-core.workspace = true\n");

        assert_eq!(messages(&text).len(), 1);
        assert!(messages(&text)[0].contains("duomo-data may not use candle-core from outside"));
    }

    #[test]
    fn build_and_platform_dependencies_count_and_dev_dependencies_do_not() {
        let text = package(
            "duomo-ops",
            "[build-dependencies]\ncc = \"1\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"0\"\n\
             [dev-dependencies]\nproptest = \"1\"\n",
        );

        let messages = messages(&text);

        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(messages[0].contains("libc") && messages[1].contains("cc"));
    }

    #[test]
    fn unknown_crates_and_missing_lints_are_findings() {
        assert!(messages(&package("duomo-new", ""))[0].contains("`duomo-new` has no layer"));
        let bare = "[package]\nname = \"xtask\"\n";
        assert!(messages(bare)[0].contains("[lints] workspace = true"));
        assert!(messages("[package")[0].contains("not TOML"));
    }
}
