//! The network: one pass through shared kernels, each modality with its own norms.

mod blocks;

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};
use duomo_ops::{Conv2d, Padding, conv2d, max_pool2};

use crate::layers::{After, GROUPS, STRIDE};
use crate::{Architecture, Error, Parameters};
use blocks::{Dropout, HeadBlock, Mode, Pass, Residual, Unit};

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
    /// Groups 1 to 8.
    residual: Vec<Vec<Residual>>,
    /// Group 9.
    plain: [Unit; 2],
    /// Group 10.
    head: HeadBlock,
}

/// What a training pass returns; lists are indexed by modality.
#[derive(Clone, Debug)]
pub struct Output {
    /// Logits `[B_m, H, W, C]`.
    pub logits: Vec<Tensor>,
    /// The kept groups' features by group number, `[B_m, h, w, channels]`: the sum that the group's
    /// last block returns, before pooling and before the next norm.
    pub features: Vec<BTreeMap<usize, Tensor>>,
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
        Ok(Self { architecture: architecture.clone(), parameters, residual, plain, head })
    }

    /// Returns the weights and statistics.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the sizes and choices that the network was built from.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Returns logits and the features of the groups in `keep`, with the graph for gradients.
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
        let pass = Pass { rows, mode: Mode::Training { dropout_seed } };
        let keep = keep.iter().copied().collect();
        let (logits, features) = self.run(&Tensor::cat(images, 0)?, &pass, &keep)?;

        let mut output = Output { logits: split(&logits, &slices)?, features: Vec::new() };
        output.features.resize(slices.len(), BTreeMap::new());
        for (group, map) in features {
            for (of_modality, part) in output.features.iter_mut().zip(split(&map, &slices)?) {
                of_modality.insert(group, part);
            }
        }
        Ok(output)
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
        let pass = Pass { rows: vec![row; images.dims()[0]], mode: Mode::Inference };
        let (logits, _) = self.run(&images.detach(), &pass, &BTreeSet::new())?;
        Ok(logits)
    }

    fn run(
        &self,
        images: &Tensor,
        pass: &Pass,
        keep: &BTreeSet<usize>,
    ) -> Result<(Tensor, BTreeMap<usize, Tensor>), Error> {
        let mut kept = BTreeMap::new();
        let mut keep_group = |group: usize, x: &Tensor| {
            if keep.contains(&group) {
                kept.insert(group, x.clone());
            }
        };

        let zero = Conv2d { padding: Padding::Zero, dilation: 1 };
        let mut x = conv2d(&images.contiguous()?, &self.kernel("stem", pass), zero)?;
        for (index, (blocks, plan)) in self.residual.iter().zip(&GROUPS).enumerate() {
            for block in blocks {
                x = block.forward(&x, pass)?;
            }
            keep_group(index + 1, &x);
            if plan.after == After::MaxPool {
                x = max_pool2(&x)?;
            }
        }
        for unit in &self.plain {
            x = unit.forward(&x, pass)?;
        }
        keep_group(9, &x);
        x = self.head.forward(&x, pass)?;
        keep_group(10, &x);

        let symmetric = Conv2d { padding: Padding::Symmetric, dilation: 1 };
        let logits = conv2d(&x, &self.kernel("output", pass), symmetric)?;
        Ok((logits, kept))
    }

    fn kernel(&self, name: &str, pass: &Pass) -> Tensor {
        pass.tensor(&self.parameters.get(name))
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

/// Cuts a batch into the slices of each modality.
fn split(batch: &Tensor, slices: &[usize]) -> Result<Vec<Tensor>, Error> {
    if slices.len() == 1 {
        return Ok(vec![batch.clone()]);
    }
    let mut start = 0;
    let mut part = |&count: &usize| {
        let part = batch.narrow(0, start, count);
        start += count;
        Ok(part?)
    };
    slices.iter().map(&mut part).collect()
}

#[cfg(test)]
mod tests;
