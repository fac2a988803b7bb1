//! The network: one pass through shared kernels, each modality with its own norms.

mod blocks;
mod output;
mod pass;
mod tape;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use duomo_ops::{Conv2d, Padding};

use crate::layers::{After, GROUPS, STRIDE};
use crate::{Architecture, Error, Parameters};
use blocks::{Dropout, HeadBlock, Residual, Unit};
pub use output::Output;
use pass::{Parameter, Pass};
use tape::Traced;

/// The fully convolutional network of \[Chen2020\] (see [`Architecture`] for its table).
///
/// # Examples
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use duomo_model::{Architecture, Fcn};
///
/// let tiny = Architecture { width: 1, blocks: [1; 8], ..Architecture::paper(4, 2) };
/// let fcn = Fcn::new(&tiny, 7, DType::F32, &Device::Cpu)?;
/// let slice = Tensor::zeros((1, 16, 24, 1), DType::F32, &Device::Cpu)?;
///
/// let logits = fcn.forward(&slice, 1)?;
/// assert_eq!(logits.dims(), [1, 16, 24, 4]);
/// # Ok::<(), duomo_model::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fcn {
    architecture: Architecture,
    parameters: Parameters,
    stem: Parameter,
    /// Groups 1 to 8.
    residual: Vec<Vec<Residual>>,
    /// Group 9.
    plain: [Unit; 2],
    /// Group 10.
    head: HeadBlock,
    output: Parameter,
}

impl Fcn {
    /// Returns a network with start values; same seed, same bits.
    ///
    /// `dtype` is `F32`, or `F64` to check the arithmetic.
    ///
    /// # Errors
    ///
    /// Those of [`Parameters::new`].
    pub fn new(
        architecture: &Architecture,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, Error> {
        let parameters = Parameters::new(architecture, seed, dtype, device)?;
        let mut builder = Builder { parameters: &parameters, architecture, units: 0 };
        let mut residual = Vec::new();
        for (index, (plan, &count)) in GROUPS.iter().zip(&architecture.blocks).enumerate() {
            let name = |block: usize| format!("group{}.block{block}", index + 1);
            residual.push((1..=count).map(|b| builder.residual(&name(b), plan.dilation)).collect());
        }
        let plain = [builder.unit("group9.unit1", 1), builder.unit("group9.unit2", 1)];
        let head = HeadBlock::new(&parameters, "group10", architecture.head);
        let [stem, output] =
            ["stem", "output"].map(|name| Parameter::new(&parameters, name.to_owned()));
        let architecture = architecture.clone();
        Ok(Self { architecture, parameters, stem, residual, plain, head, output })
    }

    /// Returns the weights and statistics.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the sizes and choices that the network was built from.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Returns logits and the features of the groups in `keep`, with what the backward pass needs.
    ///
    /// All modalities' slices pass the convolutions as one batch. Every norm takes the statistics
    /// of each modality's own slices (of all slices if normalisation is shared) and moves its
    /// running statistics towards them, in place: `0.9 · old + 0.1 · new`, variances unbiased.
    ///
    /// Dropout is a function of `dropout_seed` and the layer, so equal calls return equal bits.
    ///
    /// # Shapes
    ///
    /// - `images[m]`: `[B_m, H, W, s]` of modality `m`; `B_m` may differ, `H` and `W` not
    ///
    /// # Errors
    ///
    /// - [`Error::ModalityCount`], [`Error::ImageShape`], [`Error::ImageSizes`] for images that do
    ///   not fit
    /// - [`Error::UnknownGroup`] if `keep` names a group outside `1..=10`
    /// - [`Error::Tensor`] if the type of the images is not that of the parameters
    pub fn forward_train(
        &self,
        images: &[Tensor],
        keep: &[usize],
        dropout_seed: u64,
    ) -> Result<Output, Error> {
        let slices = self.check_batches(images)?;
        if let Some(&group) = keep.iter().find(|group| !(1..=10).contains(*group)) {
            return Err(Error::UnknownGroup(group));
        }

        let row_of = |(modality, &count): (usize, &usize)| {
            std::iter::repeat_n(self.architecture.norm_row(modality), count)
        };
        let rows = slices.iter().enumerate().flat_map(row_of).collect();
        let pass = Pass::training(rows, dropout_seed);
        let (logits, groups) = self.run(&Tensor::cat(images, 0)?, &pass, keep)?;
        Output::new(pass.into_tape(), logits, groups, &slices)
    }

    /// Returns the logits `[B, H, W, C]` of one modality's slices, from the running statistics and
    /// without a graph.
    ///
    /// A slice's logits do not depend on the other slices of the batch.
    ///
    /// # Shapes
    ///
    /// - `images`: `[B, H, W, s]`
    ///
    /// # Errors
    ///
    /// - [`Error::UnknownModality`], [`Error::ImageShape`] for a modality or images that do not fit
    /// - [`Error::Tensor`] if the type of the images is not that of the parameters
    pub fn forward(&self, images: &Tensor, modality: usize) -> Result<Tensor, Error> {
        let modalities = self.architecture.modalities;
        if modality >= modalities {
            return Err(Error::UnknownModality { given: modality, modalities });
        }
        self.check_images(images, modality)?;
        let row = self.architecture.norm_row(modality);
        let pass = Pass::inference(vec![row; images.dims()[0]]);
        let (logits, _) = self.run(&images.detach(), &pass, &[])?;
        Ok(logits.tensor)
    }

    /// Returns the logits and the features of the groups in `keep`.
    fn run(
        &self,
        images: &Tensor,
        pass: &Pass,
        keep: &[usize],
    ) -> Result<(Traced, BTreeMap<usize, Traced>), Error> {
        let mut kept = BTreeMap::new();
        let mut keep_group = |group: usize, x: &Traced| {
            if keep.contains(&group) {
                kept.insert(group, x.clone());
            }
        };

        let images = Traced::constant(images.contiguous()?);
        let zero = Conv2d { padding: Padding::Zero, dilation: 1 };
        let row_count = self.architecture.norm_rows();
        let mut x = pass.conv2d_before_norm(&images, &self.stem, zero, row_count)?;
        for (index, (blocks, plan)) in self.residual.iter().zip(&GROUPS).enumerate() {
            for block in blocks {
                x = block.forward(&x, pass)?;
            }
            keep_group(index + 1, &x);
            if plan.after == After::MaxPool {
                x = pass.max_pool2(&x)?;
            }
        }
        x = Unit::pair(self.plain.each_ref(), &x, None, pass)?;
        keep_group(9, &x);
        x = self.head.forward(&x, pass)?;
        keep_group(10, &x);

        let symmetric = Conv2d { padding: Padding::Symmetric, dilation: 1 };
        let logits = pass.conv2d(&x, &self.output, symmetric)?;
        Ok((logits, kept))
    }

    /// Checks the training images of all modalities and returns how many slices each has.
    fn check_batches(&self, images: &[Tensor]) -> Result<Vec<usize>, Error> {
        let expected = self.architecture.modalities;
        if images.len() != expected {
            return Err(Error::ModalityCount { given: images.len(), expected });
        }
        let size = |images: &Tensor| [images.dims()[1], images.dims()[2]];
        for (modality, batch) in images.iter().enumerate() {
            self.check_images(batch, modality)?;
            let (given, expected) = (size(batch), size(&images[0]));
            if given != expected {
                return Err(Error::ImageSizes { modality, given, expected });
            }
        }
        Ok(images.iter().map(|batch| batch.dims()[0]).collect())
    }

    fn check_images(&self, images: &Tensor, modality: usize) -> Result<(), Error> {
        let input_slices = self.architecture.input_slices;
        let is_size = |side: usize| side > 0 && side.is_multiple_of(STRIDE);
        match *images.dims() {
            [b, h, w, s] if b > 0 && is_size(h) && is_size(w) && s == input_slices => Ok(()),
            _ => Err(Error::ImageShape { modality, given: images.dims().to_vec(), input_slices }),
        }
    }
}

/// Builds units, counting them: the count is what tells one layer's dropout from another's.
struct Builder<'a> {
    parameters: &'a Parameters,
    architecture: &'a Architecture,
    units: u64,
}

impl Builder<'_> {
    fn residual(&mut self, name: &str, dilation: usize) -> Residual {
        let mut unit = |part: &str| self.unit(&format!("{name}.{part}"), dilation);
        Residual { unit1: unit("unit1"), unit2: unit("unit2") }
    }

    fn unit(&mut self, name: &str, dilation: usize) -> Unit {
        let dropout = Dropout::new(self.architecture.dropout, self.units);
        self.units += 1;
        Unit::new(self.parameters, name, dilation, dropout)
    }
}

#[cfg(test)]
mod tests;
