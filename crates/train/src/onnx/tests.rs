use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};
use duomo_model::{Architecture, Head, Normalization};
use duomo_ops::split_mix;

use super::proto::GraphProto;
use super::*;
use crate::inference::Segmenter as _;
use crate::inference::tests::{model_of, preparation};

mod interpreter;

fn exported(head: Head) -> (ModelProto, usize) {
    let architecture = Architecture { width: 1, head, ..Architecture::paper(4, 2) };
    let kernels = architecture.count_kernels();
    let model = model_of(architecture, 1, preparation(16, None));
    (ModelProto::decode(&onnx(&model, 1).unwrap()[..]).unwrap(), kernels)
}

fn operations(graph: &GraphProto, operation: &str) -> usize {
    graph.node.iter().filter(|node| node.op_type == operation).count()
}

#[test]
fn every_value_is_made_once_and_before_it_is_used() {
    for head in [Head::PixelShuffle, Head::Transposed] {
        let graph = exported(head).0.graph.unwrap();
        let mut known: BTreeSet<&str> = BTreeSet::from(["slices"]);
        for tensor in &graph.initializer {
            assert!(known.insert(&tensor.name), "{} twice", tensor.name);
        }
        for node in &graph.node {
            let unknown = node.input.iter().find(|input| !known.contains(&input[..]));
            assert_eq!(unknown, None, "input of {}", node.name);
            assert!(known.insert(&node.output[0]), "{} twice", node.output[0]);
        }
        for output in &graph.output {
            assert!(known.contains(&output.name[..]), "{}", output.name);
        }
    }
}

#[test]
fn the_graph_holds_every_kernel_of_the_network_and_one_modalitys_norms() {
    let (model, kernels) = exported(Head::PixelShuffle);
    let graph = model.graph.unwrap();
    let real = graph.initializer.iter().filter(|tensor| tensor.data_type == FLOAT);
    let of_rank = |rank: usize| -> usize {
        let mine = real.clone().filter(|tensor| tensor.dims.len() == rank);
        mine.map(|tensor| tensor.raw_data.len() / 4).sum()
    };

    assert_eq!(of_rank(4), kernels);
    // γ, β, mean and variance of one modality.
    let norms = Architecture { width: 1, ..Architecture::paper(4, 2) }.count_norm_per_modality();
    assert_eq!(of_rank(1), 2 * norms);
    assert_eq!(operations(&graph, "BatchNormalization"), operations(&graph, "LeakyRelu"));
    assert_eq!(operations(&graph, "MaxPool"), 3);
    assert_eq!(operations(&graph, "ArgMax"), 1);
    assert!(model.metadata_props[0].value.contains("\"modalities\":[\"LGE\",\"bSSFP\"]"));
}

/// A model whose norms are those of no other modality, and unlike those of a fresh network.
fn model_with_norms(architecture: Architecture) -> Model {
    let fresh = model_of(architecture, 1, preparation(16, None));
    let tensors = fresh.networks()[0].parameters().to_tensors().unwrap().into_iter();
    let tensors = tensors.enumerate().map(|(index, (name, tensor))| {
        let (share, positive) = match name.rsplit('.').next().unwrap() {
            "gamma" | "running_var" => (0.5, 1.0),
            "beta" | "running_mean" => (0.5, 0.0),
            _ => return (format!("0/{name}"), tensor),
        };
        let values = noise(index as u64, tensor.elem_count());
        let values: Vec<f32> = values.into_iter().map(|value| positive + share * value).collect();
        let tensor = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
        (format!("0/{name}"), tensor)
    });
    Model::from_parts(fresh.card, &tensors.collect(), &Device::Cpu).unwrap()
}

/// Numbers in −1..1.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    let draws = (0..count).map(|at| split_mix(seed, at as u64) >> 41);
    draws.map(|bits| bits as f32 / (1 << 22) as f32 - 1.0).collect()
}

#[test]
fn the_graph_computes_what_the_network_does() {
    const SIZE: [usize; 4] = [2, 3, 24, 16];
    // Grey values [N, s, H, W]; one slice is constant.
    let mut grey = noise(99, SIZE.iter().product());
    for value in &mut grey {
        *value = 300.0 + 200.0 * *value;
    }
    grey[24 * 16..][..24 * 16].fill(7.0);
    let scores = grey.chunks_exact(24 * 16).flat_map(|slice| {
        let mean = slice.iter().copied().map(f64::from).sum::<f64>() / slice.len() as f64;
        let centred = slice.iter().map(move |&value| f64::from(value) - mean);
        let variance = centred.clone().map(|x| x * x).sum::<f64>() / slice.len() as f64;
        let scale = if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 };
        centred.map(move |value| value * scale)
    });
    let scores = Tensor::from_vec(scores.collect::<Vec<_>>(), &SIZE, &Device::Cpu).unwrap();
    let scores = scores.to_dtype(DType::F32).unwrap().permute((0, 2, 3, 1)).unwrap();
    let grey = Tensor::from_vec(grey, &SIZE, &Device::Cpu).unwrap();

    for (head, normalization) in [
        (Head::PixelShuffle, Normalization::PerModality),
        (Head::Transposed, Normalization::PerModality),
        (Head::PixelShuffle, Normalization::Shared),
    ] {
        let paper = Architecture { width: 2, head, normalization, ..Architecture::paper(4, 2) };
        let model = model_with_norms(Architecture { input_slices: SIZE[1], ..paper });
        for modality in 0..2 {
            let bytes = onnx(&model, modality).unwrap();
            let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
            let values = interpreter::run(&graph, grey.clone()).unwrap();

            let expected = model.logits(&scores.contiguous().unwrap(), modality).unwrap();
            let expected = expected.permute((0, 3, 1, 2)).unwrap();
            let largest = |tensor: &Tensor| {
                tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
            };
            let difference = largest(&(&values["logits"] - &expected).unwrap());
            assert!(difference < 1e-4, "{head:?} {normalization:?} {modality}: {difference:e}");
            assert!(largest(&expected) > 0.1, "the logits are not all alike");
            let classes = expected.argmax(1).unwrap().flatten_all().unwrap();
            let found = values["classes"].flatten_all().unwrap();
            assert_eq!(found.to_vec1::<u32>().unwrap(), classes.to_vec1::<u32>().unwrap());
        }
    }
}
