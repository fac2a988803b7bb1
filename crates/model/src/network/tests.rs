use candle_core::{DType, Device, Result, Tensor};

use super::Fcn;
use crate::{Architecture, Error, Head, Normalization};

mod blocks;

#[test]
fn logits_and_features_have_the_sizes_of_the_table() {
    for head in [Head::PixelShuffle, Head::Transposed] {
        let fcn = fcn(&Architecture { head, input_slices: 3, ..tiny() });
        let images = [wave((1, 16, 24, 3), 0.3), wave((2, 16, 24, 3), 0.7)];

        let output = fcn.forward_train(&images, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0).unwrap();

        for (m, slices) in [1, 2].into_iter().enumerate() {
            assert_eq!(output.logits[m].dims(), [slices, 16, 24, 4]);
            let shapes: Vec<&[usize]> = output.features[m].values().map(Tensor::dims).collect();
            let at = |h, w, channels| [slices, h, w, channels];
            let expected = [
                at(16, 24, 1),
                at(8, 12, 2),
                at(4, 6, 4),
                at(2, 3, 8),
                at(2, 3, 16),
                at(2, 3, 16),
                at(2, 3, 32),
                at(2, 3, 32),
                at(2, 3, 32),
                at(16, 24, 32),
            ];
            assert_eq!(shapes, expected, "{head:?}");
        }
    }
}

#[test]
fn only_the_groups_asked_for_are_kept() {
    let output = fcn(&tiny()).forward_train(&images(), &[7, 5], 0).unwrap();

    let groups: Vec<usize> = output.features[1].keys().copied().collect();
    assert_eq!(groups, [5, 7]);
}

#[test]
fn a_modality_does_not_see_the_others_slices() -> Result<()> {
    let fcn = fcn(&tiny());
    let [one, two] = images();
    let other = wave((2, 16, 16, 1), 9.0);

    let with_two = fcn.forward_train(&[one.clone(), two], &[], 0).unwrap();
    let with_other = fcn.forward_train(&[one, other], &[], 0).unwrap();

    assert_eq!(values(&with_two.logits[0])?, values(&with_other.logits[0])?);
    assert_ne!(values(&with_two.logits[1])?, values(&with_other.logits[1])?);
    Ok(())
}

#[test]
fn with_a_shared_norm_modalities_see_each_other() -> Result<()> {
    let fcn = fcn(&Architecture { normalization: Normalization::Shared, ..tiny() });
    let [one, two] = images();

    let with_two = fcn.forward_train(&[one.clone(), two], &[], 0).unwrap();
    let with_other = fcn.forward_train(&[one, wave((2, 16, 16, 1), 9.0)], &[], 0).unwrap();

    assert_ne!(values(&with_two.logits[0])?, values(&with_other.logits[0])?);
    Ok(())
}

#[test]
fn dropout_is_a_function_of_its_seed() -> Result<()> {
    let fcn = fcn(&Architecture { dropout: 0.25, ..tiny() });
    let logits = |seed| values(&fcn.forward_train(&images(), &[], seed).unwrap().logits[0]);

    assert_eq!(logits(1)?, logits(1)?);
    assert_ne!(logits(1)?, logits(2)?);
    Ok(())
}

#[test]
fn the_number_of_threads_changes_no_bit() -> Result<()> {
    // Wide enough for both algorithms of convolution.
    let fcn = fcn(&Architecture { width: 4, dropout: 0.25, ..tiny() });
    let images = [wave((2, 40, 24, 1), 0.3), wave((1, 40, 24, 1), 0.7)];
    let before = fcn.parameters().to_tensors().unwrap();
    let bits = |threads: usize| -> Result<Vec<Vec<f32>>> {
        fcn.parameters().load_tensors(&before).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let used = values(&fcn.forward(&images[0], 0).unwrap())?;
            let output = fcn.forward_train(&images, &[], 3).unwrap();
            let trained = values(&output.logits[1])?;
            let loss = (output.logits[0].sqr()?.sum_all()? + output.logits[1].sum_all()?)?;
            let gradients = output.backward(&loss).unwrap();
            let gradients = gradients.values().map(values).collect::<Result<Vec<_>>>()?;
            Ok([vec![used, trained], gradients].concat())
        })
    };

    let [one, three] = [bits(1)?, bits(3)?];

    assert_eq!(one.len(), 2 + fcn.parameters().trainable().len());
    assert!(one == three, "the bits differ");
    assert!(one == bits(1)?, "the bits differ from run to run");
    Ok(())
}

#[test]
fn what_is_fused_in_use_equals_the_operations_one_by_one() -> Result<()> {
    for head in [Head::PixelShuffle, Head::Transposed] {
        let architecture = Architecture { width: 4, head, ..tiny() };
        let exact = Fcn::new(&architecture, 5, DType::F64, &Device::Cpu).unwrap();
        let fast = fcn(&architecture);
        // Statistics of their own, so that every norm changes what it reads.
        let images = [wave((2, 32, 24, 1), 0.3), wave((2, 32, 24, 1), 0.7)];
        fast.forward_train(&images, &[], 0).unwrap();
        exact.parameters().load_tensors(&fast.parameters().to_tensors().unwrap()).unwrap();

        let logits = values(&fast.forward(&images[1], 1).unwrap())?;
        // In `f64` every operation is the reference, one after the other.
        let expected = exact.forward(&images[1].to_dtype(DType::F64)?, 1).unwrap();

        let expected: Vec<f64> = expected.flatten_all()?.to_vec1()?;
        let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        for (actual, expected) in logits.iter().zip(&expected) {
            assert!((f64::from(*actual) - expected).abs() < 1e-5 * largest, "{actual} {expected}");
        }
    }
    Ok(())
}

#[test]
fn no_two_layers_share_a_dropout_pattern() {
    let seeds =
        (0..50).flat_map(|seed| (0..50).map(move |layer| duomo_ops::split_mix(seed, layer)));
    let distinct: std::collections::BTreeSet<u64> = seeds.collect();

    assert_eq!(distinct.len(), 2500);
}

#[test]
fn logits_in_use_have_no_graph_and_leave_the_statistics() -> Result<()> {
    let fcn = fcn(&Architecture { dropout: 0.5, ..tiny() });
    let statistics = |fcn: &Fcn| -> Result<Vec<Vec<f32>>> {
        fcn.parameters().statistics().values().map(|var| values(var)).collect()
    };
    let before = statistics(&fcn)?;

    let logits = fcn.forward(&images()[1], 1).unwrap();

    assert!(!logits.track_op());
    assert_eq!(statistics(&fcn)?, before);
    assert_eq!(values(&logits)?, values(&fcn.forward(&images()[1], 1).unwrap())?);
    Ok(())
}

#[test]
fn every_trainable_parameter_gets_a_gradient() -> Result<()> {
    for head in [Head::PixelShuffle, Head::Transposed] {
        let fcn = fcn(&Architecture { head, dropout: 0.25, ..tiny() });
        let output = fcn.forward_train(&images(), &[], 0).unwrap();
        let loss = (output.logits[0].sqr()?.sum_all()? + output.logits[1].sqr()?.sum_all()?)?;

        let gradients = output.backward(&loss).unwrap();

        for name in fcn.parameters().trainable().keys() {
            let gradient = gradients.get(name).unwrap_or_else(|| panic!("{name} has none"));
            assert!(values(gradient)?.iter().any(|&value| value != 0.0), "{name} has zeros only");
        }
    }
    Ok(())
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let fcn = fcn(&tiny());
    let [one, two] = images();
    let message = |images: &[Tensor]| fcn.forward_train(images, &[], 0).unwrap_err().to_string();

    assert_eq!(
        message(&[wave((1, 16, 20, 1), 0.1), two.clone()]),
        "images of modality 0 have shape [1, 16, 20, 1], expected [B, H, W, 1] with B at least 1 \
         and with H and W multiples of 8; pad or crop the slices"
    );
    assert_eq!(
        message(&[one.clone(), wave((1, 16, 8, 1), 0.1)]),
        "slices of modality 1 are [16, 8] pixels, those of modality 0 are [16, 16]; \
         prepare all modalities with one crop size"
    );
    assert_eq!(
        message(std::slice::from_ref(&one)),
        "got images of 1 modalities, but the network has 2; \
         give one batch per modality, in the order of their indices"
    );
    assert!(message(&[one.clone(), wave((1, 16, 16, 3), 0.1)]).starts_with("images of modality 1"));
    let group = fcn.forward_train(&[one.clone(), two], &[5, 11], 0).unwrap_err();
    assert!(matches!(group, Error::UnknownGroup(11)), "{group}");
    let modality = fcn.forward(&one, 2).unwrap_err();
    assert!(matches!(modality, Error::UnknownModality { given: 2, modalities: 2 }), "{modality}");
}

#[test]
fn images_of_another_type_are_refused() -> Result<()> {
    let double = images()[0].to_dtype(DType::F64)?;

    assert!(fcn(&tiny()).forward(&double, 0).is_err());
    Ok(())
}

fn tiny() -> Architecture {
    Architecture { width: 1, blocks: [1; 8], dropout: 0.0, ..Architecture::paper(4, 2) }
}

fn fcn(architecture: &Architecture) -> Fcn {
    Fcn::new(architecture, 5, DType::F32, &Device::Cpu).unwrap()
}

fn images() -> [Tensor; 2] {
    [wave((2, 16, 16, 1), 0.3), wave((1, 16, 16, 1), 0.7)]
}

fn wave(shape: (usize, usize, usize, usize), frequency: f32) -> Tensor {
    let count = shape.0 * shape.1 * shape.2 * shape.3;
    let values: Vec<f32> = (0..count).map(|i| (frequency * i as f32).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}
