//! The distance between two modalities' affinities, for one layer pair.
//!
//! ```text
//! L = (1/C) Σ_{c present in both} (1/P) Σ_i (A^{c,1}_i − A^{c,2}_i)²
//! ∂L/∂A^{c,1}_i = 2 (A^{c,1}_i − A^{c,2}_i) / (C·P) = −∂L/∂A^{c,2}_i
//! ```
//!
//! On matrices `[C, M, N]` this is the elementwise reading of Eq. (4), on means `[C]` (`P = 1`) the
//! literal one. A class that either side lacks contributes 0 while the divisor stays `C`: a batch
//! with fewer classes has a smaller loss, not the same loss spread over fewer terms.
//!
//! One pass each way; in tensor operations, which maps on a card take, it is eight over arrays of `C·M·N`.

#[cfg(test)]
mod tests;

use candle_core::{
    CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, backend::BackendStorage, bail,
};
use duomo_ops::cuda::on_card;
use rayon::prelude::*;

use crate::real::{Real, elements, for_real, with_elements};

/// Numbers that one task sums; fixed, so that bits do not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// Returns the scalar loss between two affinities of the same shape, `[C, …]`.
///
/// # Errors
///
/// If the shapes differ, or the leading axis is not as long as `present`.
pub(crate) fn consistency(a: &Tensor, b: &Tensor, present: Vec<bool>) -> Result<Tensor> {
    if a.dims() != b.dims() || a.dims().first() != Some(&present.len()) {
        bail!(
            "affinity_loss: affinities of two modalities have shapes {:?} and {:?}, expected the \
             same, with {} classes; do their layers have the same number of channels?",
            a.dims(),
            b.dims(),
            present.len()
        );
    }
    if on_card(a) {
        return in_tensor_operations(a, b, &present);
    }
    a.contiguous()?.apply_op2(&b.contiguous()?, SquaredDifference { present })
}

fn in_tensor_operations(a: &Tensor, b: &Tensor, present: &[bool]) -> Result<Tensor> {
    let classes = present.len();
    let counted = present.iter().map(|&present| f32::from(u8::from(present))).collect();
    let counted = Tensor::from_vec(counted, classes, a.device())?.to_dtype(a.dtype())?;
    let squares = (a - b)?.reshape((classes, ()))?.sqr()?.sum(1)?;
    (squares * counted)?.sum_all()? / a.elem_count() as f64
}

struct SquaredDifference {
    /// Per class: whether both sides have it.
    present: Vec<bool>,
}

impl CustomOp2 for SquaredDifference {
    fn name(&self) -> &'static str {
        "affinity_consistency"
    }

    fn cpu_fwd(
        &self,
        storage_a: &CpuStorage,
        layout_a: &Layout,
        storage_b: &CpuStorage,
        layout_b: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, b) = ((storage_a, layout_a), (storage_b, layout_b));
        for_real!(self.name(), storage_a.dtype(), forward(&self.present, a, b))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _loss: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        for_real!(self.name(), a.dtype(), backward(&self.present, [a, b, gradient]))
    }
}

fn forward<T: Real>(
    present: &[bool],
    (storage_a, layout_a): (&CpuStorage, &Layout),
    (storage_b, layout_b): (&CpuStorage, &Layout),
) -> Result<(CpuStorage, Shape)> {
    let (a, b) = (elements::<T>(storage_a, layout_a)?, elements::<T>(storage_b, layout_b)?);
    let entries = a.len() / present.len();
    let sums = present.iter().zip(a.chunks_exact(entries).zip(b.chunks_exact(entries)));
    let total: f64 =
        sums.filter(|&(&present, _)| present).map(|(_, (a, b))| squared_distance(a, b)).sum();
    let loss = T::from_f64(total / a.len() as f64);
    Ok((T::to_cpu_storage_owned(vec![loss]), Shape::from(())))
}

fn squared_distance<T: Real>(a: &[T], b: &[T]) -> f64 {
    let chunks = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
    let sum = |(a, b): (&[T], &[T])| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| (a.to_f64() - b.to_f64()).powi(2)).sum()
    };
    let sums: Vec<f64> = chunks.map(sum).collect();
    sums.iter().sum()
}

fn backward<T: Real>(
    present: &[bool],
    tensors: [&Tensor; 3],
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (of_a, of_b) = with_elements::<T, 3, _>(tensors, |[a, b, gradient]| {
        let entries = a.len() / present.len();
        let factor = T::from_f64(2.0 * gradient[0].to_f64() / a.len() as f64);
        let mut out = (vec![T::zero(); a.len()], vec![T::zero(); a.len()]);
        let classes = out.0.par_chunks_mut(entries).zip(out.1.par_chunks_mut(entries));
        let values = a.par_chunks(entries).zip(b.par_chunks(entries));
        classes.zip(values).zip(present).filter(|(_, present)| **present).for_each(
            |(((of_a, of_b), (a, b)), _)| {
                for ((of_a, of_b), (&a, &b)) in of_a.iter_mut().zip(of_b).zip(a.iter().zip(b)) {
                    *of_a = factor * (a - b);
                    *of_b = T::zero() - *of_a;
                }
            },
        );
        out
    })?;
    let [a, b, _] = tensors;
    let of_a = Tensor::from_vec(of_a, a.shape(), a.device())?;
    let of_b = Tensor::from_vec(of_b, b.shape(), b.device())?;
    Ok((Some(of_a), Some(of_b)))
}
