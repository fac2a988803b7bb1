use std::collections::BTreeSet;

use duomo_model::{Architecture, Head};

use super::proto::GraphProto;
use super::*;
use crate::inference::tests::{model_of, preparation};

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
