use candle_core::{DType, Device, Tensor};
use expect_test::expect;

use super::Parameters;
use crate::{Architecture, Error, Head, Normalization};

#[test]
fn names_and_shapes_are_the_published_ones() {
    let parameters = parameters(&tiny(), 1);

    let shape = |name: &str| parameters.get(name).dims().to_vec();
    assert_eq!(shape("stem"), [1, 3, 3, 1]);
    assert_eq!(shape("group2.block1.unit1.weight"), [2, 3, 3, 1]);
    assert_eq!(shape("group2.block1.unit1.norm.gamma"), [2, 1]);
    assert_eq!(shape("group8.block1.unit2.norm.running_var"), [2, 32]);
    assert_eq!(shape("group9.unit2.weight"), [32, 3, 3, 32]);
    assert_eq!(shape("group10.weight"), [64 * 8 * 4, 3, 3, 32]);
    assert_eq!(shape("group10.norm.beta"), [2, 64 * 8 * 4]);
    assert_eq!(shape("output"), [4, 5, 5, 32]);
    // 18 units and group 10 have a kernel, γ, β and two statistics; two more kernels follow.
    assert_eq!(parameters.trainable().len(), 3 * 18 + 3 + 2);
    assert_eq!(parameters.statistics().len(), 2 * 18 + 2);
    assert_eq!(parameters.kernels().count(), 18 + 3);
}

#[test]
fn counts_are_those_of_the_architecture() {
    for normalization in [Normalization::PerModality, Normalization::Shared] {
        let architecture = Architecture { normalization, head: Head::Transposed, ..tiny() };
        let parameters = parameters(&architecture, 1);

        assert_eq!(parameters.count_kernels(), architecture.count_kernels());
        assert_eq!(parameters.count_norm_per_modality(), architecture.count_norm_per_modality());
    }
}

#[test]
fn same_seed_same_bits_on_any_number_of_threads() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();

    let one = pool(1).install(|| parameters(&tiny(), 3));
    let four = pool(4).install(|| parameters(&tiny(), 3));

    for (name, var) in one.trainable() {
        assert_eq!(values(var), values(&four.trainable()[name]), "{name}");
    }
    assert_ne!(values(&one.get("output")), values(&parameters(&tiny(), 4).get("output")));
}

#[test]
fn saved_tensors_restore_the_network_and_do_not_follow_it() {
    let (original, other) = (parameters(&tiny(), 1), parameters(&tiny(), 2));
    let saved = original.to_tensors().unwrap();
    let kernel = original.get("group5.block1.unit1.weight");
    let before = values(&kernel);

    kernel.set(&kernel.zeros_like().unwrap()).unwrap();
    other.load_tensors(&saved).unwrap();

    assert_eq!(values(&saved["group5.block1.unit1.weight"]), before);
    assert_eq!(values(&other.get("group5.block1.unit1.weight")), before);
    assert_eq!(saved.len(), original.trainable().len() + original.statistics().len());
}

#[test]
fn tensors_of_another_type_are_converted() {
    let parameters = parameters(&tiny(), 1);
    let mut tensors = parameters.to_tensors().unwrap();
    let double = Tensor::ones((4, 5, 5, 32), DType::F64, &Device::Cpu).unwrap();
    tensors.insert("output".to_owned(), double);

    parameters.load_tensors(&tensors).unwrap();

    assert_eq!(parameters.get("output").dtype(), DType::F32);
    assert_eq!(values(&parameters.get("output")), vec![1.0; 4 * 5 * 5 * 32]);
}

#[test]
fn tensors_that_do_not_fit_are_named_and_change_nothing() {
    let parameters = parameters(&tiny(), 1);
    let before = values(&parameters.get("stem"));
    let mut tensors = parameters.to_tensors().unwrap();
    for tensor in tensors.values_mut() {
        *tensor = tensor.zeros_like().unwrap();
    }
    let output = tensors.remove("output").unwrap();
    tensors.insert("outptu".to_owned(), output.clone());
    tensors.insert("group9.unit1.weight".to_owned(), output);

    let error = parameters.load_tensors(&tensors).unwrap_err();

    let message = error.to_string().replace("; ", ";\n");
    expect![[r"
        tensors do not fit the network: missing: output;
        unexpected: outptu;
        of another shape: group9.unit1.weight has [4, 5, 5, 32], expected [32, 3, 3, 32]"]]
    .assert_eq(&message);
    assert_eq!(values(&parameters.get("stem")), before);
}

#[test]
fn long_lists_of_names_are_cut() {
    let error = parameters(&tiny(), 1).load_tensors(&[].into()).unwrap_err();

    let Error::Parameters { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing.len(), 97);
    assert!(error.to_string().ends_with("and 93 more"), "{error}");
}

fn tiny() -> Architecture {
    Architecture { width: 1, blocks: [1; 8], ..Architecture::paper(4, 2) }
}

fn parameters(architecture: &Architecture, seed: u64) -> Parameters {
    Parameters::new(architecture, seed, DType::F32, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
