//! Reads NIfTI files and writes each as Duomo does, for other programs to compare: `scripts/odd_files.py`.
//!
//! `cargo run --release -p duomo-data --example copy_nifti -- OUT FILE…` writes `OUT/N.nii.gz`, and `OUT/N_labels.nii.gz`
//! where the values are labels, and prints one line of JSON per file.

use std::path::{Path, PathBuf};

use duomo_data::{Error, read_image, read_labels, write_image, write_labels};
use serde_json::{Value, json};

#[expect(clippy::print_stdout, reason = "an example prints its result")]
fn main() -> Result<(), Error> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().unwrap_or_default();
    for (number, path) in arguments.enumerate() {
        println!("{}", copy(&path, &out, number)?);
    }
    Ok(())
}

/// What was found; only what cannot be written is an error.
fn copy(path: &Path, out: &Path, number: usize) -> Result<Value, Error> {
    let image = match read_image(path) {
        Ok(image) => image,
        Err(refusal) => return Ok(json!({ "refused": refusal.to_string() })),
    };
    let copy = out.join(format!("{number}.nii.gz"));
    write_image(&copy, &image.geometry, &image.voxels)?;
    let labels = match read_labels(path) {
        Ok(labels) => {
            let path = out.join(format!("{number}_labels.nii.gz"));
            write_labels(&path, &labels.geometry, &labels.values.to_vec())?;
            json!(path)
        }
        Err(_) => Value::Null,
    };
    Ok(json!({
        "copy": copy,
        "labels": labels,
        "affine": image.geometry.affine,
        "warnings": image.warnings,
    }))
}
