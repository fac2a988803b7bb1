//! Any text as the TOML file of a data set, and its patterns on a folder of files.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use duomo_data::{Dataset, discover};
use duomo_fuzz::{at, within_memory};
use libfuzzer_sys::fuzz_target;

static FILES: LazyLock<()> = LazyLock::new(|| {
    for name in [
        "c0t2lge/patient1_LGE.nii.gz",
        "lgegt/patient1_LGE_manual.nii.gz",
        "a/b/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab.nii",
    ] {
        let path = at("scans").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, b"").expect("a file");
    }
});

fuzz_target!(|bytes: &[u8]| {
    LazyLock::force(&FILES);
    let Ok(text) = str::from_utf8(bytes) else { return };
    let dataset = within_memory(bytes.len(), || Dataset::parse(text, "dataset.toml"));
    if let Ok(dataset) = dataset {
        let _ = discover(&dataset, &at("scans")).map(|found| found.left_out.len());
        assert!(!dataset.modality_names().is_empty());
    }
});
