//! Any text as `dataset.json` of a folder in nnU-Net's layout, and the search for its files.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use duomo_data::{Dataset, discover};
use duomo_fuzz::{at, file, within_memory};
use libfuzzer_sys::fuzz_target;

static IMAGES: LazyLock<()> = LazyLock::new(|| {
    for folder in ["imagesTr", "labelsTr"] {
        fs::create_dir_all(at("nnunet").join(folder)).expect("a folder");
    }
    for name in [
        "imagesTr/case_001_0000.nii.gz",
        "imagesTr/case_002.nii.gz",
        "labelsTr/case_001.nii.gz",
        "labelsTr/case_002.nii.gz",
    ] {
        fs::write(at("nnunet").join(name), b"").expect("a file");
    }
});

fuzz_target!(|bytes: &[u8]| {
    LazyLock::force(&IMAGES);
    file("nnunet/dataset.json", bytes);
    let dataset = within_memory(bytes.len(), || Dataset::from_nnunet(&at("nnunet")));
    if let Ok(dataset) = dataset {
        let _ = discover(&dataset, &at("nnunet")).map(|found| found.left_out.len());
    }
});
