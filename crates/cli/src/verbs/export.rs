//! `duomo export`: one modality's network for programs that are not Duomo.

use std::path::PathBuf;

use anyhow::Result;
use duomo_train::{Device, Model, onnx};
use serde_json::json;

use crate::console;
use crate::exit::{Outcome, usage};

/// Arguments of `duomo export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Model file from a run folder.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Modality whose network is wanted: each has a graph of its own.
    #[arg(long, value_name = "NAME")]
    modality: String,
    /// ONNX file to write.
    #[arg(long, value_name = "FILE.onnx")]
    out: PathBuf,
    /// Print JSON: the file, its size and the modality.
    #[arg(long)]
    json: bool,
}

/// Writes the ONNX file.
///
/// # Errors
///
/// A model that cannot be read, a modality that it does not know (2), or a file that cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let model = Model::load(&arguments.model, &Device::Cpu)?;
    let modality = model.modality(&arguments.modality).map_err(|error| usage(&error))?;
    let bytes = onnx(&model, modality)?;
    console::write_file(&arguments.out, &bytes)?;
    if arguments.json {
        let written = json!({
            "schema": "duomo.export/1",
            "out": arguments.out,
            "bytes": bytes.len(),
            "modality": model.card.modalities[modality],
        });
        console::print_json(&written, "-")?;
    } else {
        console::note(&format!(
            "{}: slices [N, s, H, W] in, classes [N, H, W] and logits out",
            arguments.out.display()
        ));
    }
    Ok(Outcome::Done)
}
