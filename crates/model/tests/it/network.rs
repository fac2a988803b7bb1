//! `network*.safetensors`: whole networks in one training step and in use.

use candle_core::{DType, Result, Tensor};
use duomo_model::{Fcn, Normalization, Output, distillation_loss, l2_loss, segmentation_losses};
use duomo_ops::cuda::runners::{Place, places};

use crate::fixture::{Fixture, relative_error, tolerance};
use crate::recipe::Recipe;

pub(crate) const NETWORKS: [&str; 2] = ["network", "network_transposed"];

/// Running statistics in `f64` come from batch statistics that are handed over in `f32`.
const STATISTICS_TOLERANCE: f64 = 1e-7;

#[test]
fn logits_in_use_are_as_published() -> Result<()> {
    each_network(|case| {
        for (prefix, fcn) in [("", &case.fcn), ("joint.", &case.joint)] {
            for (m, images) in case.images.iter().enumerate() {
                let logits = fcn.forward(images, m).unwrap();
                case.assert_close(&format!("{prefix}eval.m{m}.logits"), &logits);
            }
        }
        Ok(())
    })
}

#[test]
fn training_logits_features_and_statistics_are_as_published() -> Result<()> {
    each_network(|case| {
        let output = case.fcn.forward_train(&case.images, &ALL_GROUPS, 0).unwrap();

        for (m, logits) in output.logits.iter().enumerate() {
            let features = &output.features[m];
            let norm = |group: &usize| {
                let squares = features[group].to_dtype(DType::F64)?.sqr()?;
                squares.sum_all()?.sqrt()
            };
            let norms = ALL_GROUPS.iter().map(norm).collect::<Result<Vec<_>>>()?;
            case.assert_close(&format!("train.m{m}.logits"), logits);
            case.assert_close(&format!("train.m{m}.group_norms"), &Tensor::stack(&norms, 0)?);
            for group in [5, 6, 7] {
                case.assert_close(&format!("train.m{m}.group{group}"), &features[&group]);
            }
        }
        let published = case.fixture.tensors.keys().filter_map(|name| name.strip_prefix("after."));
        let statistics = case.fcn.parameters().statistics();
        for name in published {
            let tolerance = case.tolerance.max(STATISTICS_TOLERANCE);
            case.fixture.assert_close(&format!("after.{name}"), &statistics[name], tolerance);
        }
        Ok(())
    })
}

#[test]
fn losses_are_as_published() -> Result<()> {
    each_network(|case| {
        let output = case.fcn.forward_train(&case.images, &[], 0).unwrap();
        let [dice, cross_entropy] = case.segmentation(&output)?;
        let kd = distillation_loss(&output.logits, &case.labels, 2.0).unwrap();
        let l2 = l2_loss(case.fcn.parameters(), 1e-4).unwrap();

        case.assert_close("loss.dice", &dice);
        case.assert_close("loss.ce", &cross_entropy);
        case.assert_close("loss.total.msbn", &(dice.sum_all()? + cross_entropy.sum_all()?)?);
        case.assert_close("loss.kd", &kd);
        case.assert_close("loss.l2", &Tensor::new(l2, kd.device())?);
        Ok(())
    })
}

#[test]
fn gradients_of_distillation_are_as_published() -> Result<()> {
    each_network(|case| {
        let loss_of = |case: &Case| {
            let output = case.fcn.forward_train(&case.images, &[], 0).unwrap();
            let kd = distillation_loss(&output.logits, &case.labels, 2.0).unwrap();
            let total = case.total(&output, &kd)?;
            Ok((output, total))
        };

        case.assert_close("loss.total.ummkd", &loss_of(case)?.1);
        case.assert_gradients("grad.ummkd.", loss_of)
    })
}

#[test]
fn a_shared_norm_takes_the_statistics_of_all_slices() -> Result<()> {
    each_network(|case| {
        let output = case.joint.forward_train(&case.images, &[], 0).unwrap();

        for (m, logits) in output.logits.iter().enumerate() {
            case.assert_close(&format!("joint.train.m{m}.logits"), logits);
        }
        let [dice, cross_entropy] = case.segmentation(&output)?;
        let total = (dice.sum_all()? + cross_entropy.sum_all()?)?;
        case.assert_close("joint.loss.total", &total);
        Ok(())
    })
}

const ALL_GROUPS: [usize; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

/// One network file in one place.
pub(crate) struct Case {
    pub fixture: Fixture,
    pub(crate) fcn: Fcn,
    pub(crate) joint: Fcn,
    pub(crate) images: Vec<Tensor>,
    pub(crate) labels: Vec<Tensor>,
    pub(crate) tolerance: f64,
    name: &'static str,
    place: Place,
}

impl Case {
    pub(crate) fn open(name: &'static str, place: &Place, tolerance: f64) -> Result<Self> {
        let (fixture, recipe) = (Fixture::open(name)?, Recipe::read(name));
        let images = of_modalities(&fixture, "images");
        Ok(Self {
            fcn: recipe.network(Normalization::PerModality, place)?,
            joint: recipe.network(Normalization::Shared, place)?,
            images: images.iter().map(|images| place.put(images)).collect::<Result<_>>()?,
            labels: of_modalities(&fixture, "labels"),
            fixture,
            tolerance,
            name,
            place: place.clone(),
        })
    }

    #[track_caller]
    pub(crate) fn assert_close(&self, name: &str, actual: &Tensor) {
        self.fixture.assert_close(name, actual, self.tolerance);
    }

    /// Dice losses and cross-entropies, `[modalities]` each.
    pub(crate) fn segmentation(&self, output: &Output) -> Result<[Tensor; 2]> {
        let (mut dice, mut cross_entropy) = (Vec::new(), Vec::new());
        for (logits, labels) in output.logits.iter().zip(&self.labels) {
            let losses = segmentation_losses(logits, labels).unwrap();
            dice.push(losses.0);
            cross_entropy.push(losses.1);
        }
        Ok([Tensor::stack(&dice, 0)?, Tensor::stack(&cross_entropy, 0)?])
    }

    /// Eq. 5 without the L2 term, the transfer loss with weight 0.5.
    pub(crate) fn total(&self, output: &Output, transfer: &Tensor) -> Result<Tensor> {
        let [dice, cross_entropy] = self.segmentation(output)?;
        (dice.sum_all()? + cross_entropy.sum_all()?)? + (transfer * 0.5)?
    }

    /// Compares the gradients of `loss_of` that are published under names that start with `prefix`; in `f32`
    /// all gradients with those of the `f64` network, which are the published ones or
    /// [beside them](Self::gradients_beside).
    pub(crate) fn assert_gradients(
        &self,
        prefix: &str,
        loss_of: impl Fn(&Self) -> Result<(Output, Tensor)>,
    ) -> Result<()> {
        let (output, loss) = loss_of(self)?;
        let gradients = output.backward(&loss).unwrap();
        let published = self.fixture.tensors.keys().filter_map(|name| name.strip_prefix(prefix));
        let published: Vec<&str> = published.collect();
        assert_eq!(published.len(), 15);
        let is_close = |name: &&str| {
            let expected = self.fixture.get(&format!("{prefix}{name}"));
            let actual = sampled(&gradients[*name], name, self).unwrap();
            relative_error(&actual, expected).unwrap() <= self.tolerance
        };
        if self.place.dtype == DType::F32 && !published.iter().all(is_close) {
            let exact = Self::open(self.name, &Place::on_cpu(DType::F64), self.tolerance)?;
            exact.gradients_beside(&gradients, self.tolerance, loss_of)?;
            return Ok(());
        }
        for name in published {
            self.assert_close(&format!("{prefix}{name}"), &sampled(&gradients[name], name, self)?);
        }
        Ok(())
    }
}

/// A tensor in the shape in which `Case`'s file stores the one called `name`.
fn sampled(tensor: &Tensor, name: &str, case: &Case) -> Result<Tensor> {
    let stored = case.fixture.get(&format!("grad.ummkd.{name}"));
    if stored.rank() == 1 { sample(tensor) } else { Ok(tensor.clone()) }
}

/// The 600 entries that a file keeps of a larger tensor, in PyTorch's order of axes.
pub(crate) fn sample(tensor: &Tensor) -> Result<Tensor> {
    let count = u32::try_from(tensor.elem_count()).unwrap();
    let entries: Vec<u32> =
        (0..600u64).map(|i| u32::try_from(i * u64::from(count) / 600).unwrap()).collect();
    let entries = Tensor::new(entries, tensor.device())?;
    let tensor = if tensor.rank() == 4 { tensor.permute((0, 3, 1, 2))? } else { tensor.clone() };
    tensor.contiguous()?.flatten_all()?.index_select(&entries, 0)
}

/// `m0.name`, `m1.name`, …, for as many modalities as the file has.
pub(crate) fn of_modalities(fixture: &Fixture, name: &str) -> Vec<Tensor> {
    (0..).map_while(|m| fixture.tensors.get(&format!("m{m}.{name}")).cloned()).collect()
}

/// Runs a test on both networks in every place.
pub(crate) fn each_network(test: impl Fn(&Case) -> Result<()>) -> Result<()> {
    for name in NETWORKS {
        for place in places() {
            test(&Case::open(name, &place, tolerance(&place))?)?;
        }
    }
    Ok(())
}
