//! What a training pass returns, and the way back.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use super::tape::{Tape, Traced};
use crate::Error;

/// What a training pass returns; lists are indexed by modality.
///
/// The tensors are the leaves of a loss's graph: build a loss from them, then ask for its gradients
/// with [`Output::backward`].
#[derive(Debug)]
pub struct Output {
    /// Logits `[B_m, H, W, C]`.
    pub logits: Vec<Tensor>,
    /// The kept groups' features by group number, `[B_m, h, w, channels]`: the sum that the group's
    /// last block returns, before pooling and before the next norm.
    pub features: Vec<BTreeMap<usize, Tensor>>,
    tape: Tape,
    /// Each result of the network with its parts above.
    results: Vec<Cut>,
}

/// A result over the slices of all modalities, and its parts as leaves of the loss.
#[derive(Debug)]
struct Cut {
    whole: Traced,
    parts: Vec<Tensor>,
}

impl Cut {
    /// Cuts a result into the slices of each modality.
    fn new(whole: Traced, slices: &[usize]) -> Result<Self, Error> {
        let mut start = 0;
        let part = |&count: &usize| {
            let part = whole.tensor.narrow(0, start, count)?;
            start += count;
            Ok(Var::from_tensor(&part)?.into_inner())
        };
        let parts = slices.iter().map(part).collect::<Result<_, Error>>()?;
        Ok(Self { whole, parts })
    }
}

impl Output {
    pub(super) fn new(
        tape: Tape,
        logits: Traced,
        groups: BTreeMap<usize, Traced>,
        slices: &[usize],
    ) -> Result<Self, Error> {
        let logits = Cut::new(logits, slices)?;
        let mut output = Self {
            logits: logits.parts.clone(),
            features: vec![BTreeMap::new(); slices.len()],
            tape,
            results: vec![logits],
        };
        for (group, whole) in groups {
            let cut = Cut::new(whole, slices)?;
            for (of_modality, part) in output.features.iter_mut().zip(&cut.parts) {
                of_modality.insert(group, part.clone());
            }
            output.results.push(cut);
        }
        Ok(output)
    }

    /// Returns the gradients of `loss` with respect to the trainable parameters, by name.
    ///
    /// `loss` is a scalar computed from [`Self::logits`] and [`Self::features`] by operations that
    /// candle can differentiate. A parameter that it does not depend on has no gradient. What the
    /// forward pass remembered is freed on the way.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] if an operation of the loss cannot be differentiated, or memory runs out.
    ///
    /// # Examples
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor};
    /// use duomo_model::{Architecture, Fcn};
    ///
    /// let tiny = Architecture { width: 1, blocks: [1; 8], ..Architecture::paper(4, 1) };
    /// let fcn = Fcn::new(&tiny, 7, DType::F32, &Device::Cpu)?;
    /// let output = fcn.forward_train(&[Tensor::ones((2, 16, 16, 1), DType::F32, &Device::Cpu)?], &[], 0)?;
    ///
    /// let loss = output.logits[0].sqr()?.mean_all()?;
    /// let gradients = output.backward(&loss)?;
    /// assert_eq!(gradients["stem"].dims(), fcn.parameters().trainable()["stem"].dims());
    /// # Ok::<(), duomo_model::Error>(())
    /// ```
    pub fn backward(self, loss: &Tensor) -> Result<BTreeMap<String, Tensor>, Error> {
        let gradients = loss.backward()?;
        let mut of_results = Vec::new();
        for Cut { whole, parts } in self.results {
            let of_parts: Vec<_> = parts.iter().map(|part| gradients.get(part)).collect();
            if of_parts.iter().all(Option::is_none) {
                continue;
            }
            let or_zeros = |(part, gradient): (&Tensor, Option<&Tensor>)| {
                gradient.map_or_else(|| part.zeros_like(), |gradient| Ok(gradient.clone()))
            };
            let of_parts = parts.iter().zip(of_parts).map(or_zeros);
            let gradient = Tensor::cat(&of_parts.collect::<Result<Vec<_>, _>>()?, 0)?;
            of_results.push((whole, gradient));
        }
        self.tape.backward(of_results)
    }
}
