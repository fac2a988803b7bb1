//! One modality's network as an ONNX file, for programs that are not Duomo.
//!
//! The graph takes slices as `duomo predict` cuts them and does the rest: z-scores, network, arg-max.

mod graph;
mod network;
mod proto;

use anyhow::Result;
use prost::Message as _;

use crate::model_file::Model;
use crate::provenance::Program;
use graph::{Attribute, Axis, Graph};
use network::Writer;
use proto::{FLOAT, INT64, ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// Version of ONNX's intermediate representation.
const IR_VERSION: i64 = 8;

/// Version of ONNX's operators.
const OPSET: i64 = 17;

const DOC: &str = "\
Input `slices`: grey values [N, s, H, W] of N slices and their neighbours, turned, cut at the top of the \
histogram, resampled and cropped as the metadata `duomo` says under `preparation`; H and W multiples of 8. \
Every slice is z-scored inside. Outputs: `classes` [N, H, W], indices into background and `labels`, and \
`logits` [N, C, H, W]. No post-processing.";

/// Returns the bytes of an ONNX file with one modality's network, an index into the card's modalities.
///
/// Its input is `slices`, grey values `[N, s, H, W]` before the z-score, its outputs are `classes`, class
/// indices `[N, H, W]`, and `logits`, `[N, C, H, W]`. The model's card is in the metadata under `duomo`.
///
/// # Errors
///
/// A modality that no network of the model serves.
pub fn onnx(model: &Model, modality: usize) -> Result<Vec<u8>> {
    let (network, row) = model.network(modality)?;
    let architecture = network.architecture();
    let weights = network.parameters().to_tensors()?.into_iter().collect();
    let mut writer =
        Writer { graph: Graph::default(), architecture, weights: &weights, modality: row };
    let z_scores = writer.z_score("slices");
    let logits = writer.logits(&z_scores)?;
    let mut graph = writer.graph;
    graph.rename(&logits, "logits");
    let attributes = [("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))];
    let classes = graph.node("ArgMax", &["logits"], &attributes);
    graph.rename(&classes, "classes");

    let [n, h, w] = ["N", "H", "W"].map(Axis::Any);
    let channels = |count| [n, Axis::Length(count), h, w];
    let graph = graph.finish(
        &model.card.modalities[modality],
        ("slices", FLOAT, &channels(architecture.input_slices)),
        &[("classes", INT64, &[n, h, w]), ("logits", FLOAT, &channels(architecture.classes))],
    );
    let metadata = [
        ("duomo", serde_json::to_string(&model.card)?),
        ("modality", model.card.modalities[modality].clone()),
    ];
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "duomo".to_owned(),
        producer_version: Program::current().version.to_owned(),
        doc_string: DOC.to_owned(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata
            .map(|(key, value)| StringStringEntryProto { key: key.to_owned(), value })
            .into(),
    };
    Ok(model.encode_to_vec())
}

#[cfg(test)]
mod tests;
