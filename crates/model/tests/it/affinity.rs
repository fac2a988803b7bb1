//! The class-specific affinity of a network's features, and its gradients in the network.

use candle_core::{Result, Tensor};
use duomo_affinity::{Consistency, Reading, Scope, Side, SizeNormalization, affinity_loss};
use duomo_model::Output;

use crate::network::{Case, each_network};

/// Layer pairs of the published values.
const PAIRS: [(usize, usize); 2] = [(5, 6), (6, 7)];

#[test]
fn affinity_losses_are_as_published_under_every_reading() -> Result<()> {
    each_network(|case| {
        let output = case.fcn.forward_train(&case.images, &[5, 6, 7], 0).unwrap();
        for (name, reading) in readings() {
            case.assert_close(&name, &affinity(case, &output, reading)?);
        }
        Ok(())
    })
}

#[test]
fn gradients_of_class_affinity_are_as_published() -> Result<()> {
    each_network(|case| {
        let loss_of = |case: &Case, reading: Reading| {
            let output = case.fcn.forward_train(&case.images, &[5, 6, 7], 0).unwrap();
            let total = case.total(&output, &affinity(case, &output, reading)?)?;
            Ok((output, total))
        };
        let unmasked = Reading { class_specific: false, ..PUBLISHED };

        case.assert_close("loss.total.affinity", &loss_of(case, unmasked)?.1);
        case.assert_close("loss.total.csa", &loss_of(case, PUBLISHED)?.1);
        case.assert_gradients("grad.csa.", |case| loss_of(case, PUBLISHED))
    })
}

/// The reading of the published totals and gradients.
pub(crate) const PUBLISHED: Reading = Reading {
    scope: Scope::Batch,
    size_normalization: SizeNormalization::None,
    consistency: Consistency::Elementwise,
    background: true,
    class_specific: true,
};

pub(crate) fn affinity(case: &Case, output: &Output, reading: Reading) -> Result<Tensor> {
    let sides = output.features.iter().zip(&case.labels);
    let sides: Vec<Side<'_>> = sides.map(|(features, labels)| Side { features, labels }).collect();
    let classes = case.fcn.architecture().classes;
    affinity_loss(&sides, &PAIRS, classes, &reading)
}

fn readings() -> Vec<(String, Reading)> {
    let mut readings = Vec::new();
    for (scope_name, scope) in [("batch", Scope::Batch), ("slice", Scope::Slice)] {
        for (size_name, size_normalization) in [
            ("pixels", SizeNormalization::Pixels),
            ("fraction", SizeNormalization::Fraction),
            ("none", SizeNormalization::None),
        ] {
            for (consistency_name, consistency) in [
                ("mean-difference", Consistency::MeanDifference),
                ("elementwise", Consistency::Elementwise),
            ] {
                for (suffix, class_specific) in [("", true), (".unmasked", false)] {
                    let name =
                        format!("loss.csa.{scope_name}.{size_name}.{consistency_name}{suffix}");
                    let reading = Reading {
                        scope,
                        size_normalization,
                        consistency,
                        background: true,
                        class_specific,
                    };
                    readings.push((name, reading));
                }
            }
        }
    }
    readings
}
