//! Runs the launches on a card: the CUDA twin of [`super::cpu`], in `f32`.

#[cfg(test)]
mod tests;

use candle_core::{
    CudaStorage, Layout, Result, Shape, Storage, Tensor, backend::BackendStorage as _, bail,
    cuda_backend::cudarc::driver::CudaSlice, op::BackpropOp,
};
use duomo_ops::cuda::card;

use super::{ClassAffinity, launches};

const NAME: &str = "class_affinity";

/// What the backward pass needs of the forward pass, in the card's memory.
pub(super) struct Kept {
    /// `[R, M]` and `[R, N]`.
    inverse_norms: [CudaSlice<f32>; 2],
    /// `[R, M, N]`, where a class has several regions.
    shares: Option<CudaSlice<f32>>,
}

/// Returns the affinities `[C, M, N]`, Eqs. (2) and (3).
pub(super) fn forward(
    op: &ClassAffinity,
    (storage_l, layout_l): (&CudaStorage, &Layout),
    (storage_k, layout_k): (&CudaStorage, &Layout),
) -> Result<(CudaStorage, Shape)> {
    let (m, n) = (layout_l.shape().dims4()?.3, layout_k.shape().dims4()?.3);
    let inputs = [
        card::elements(NAME, (storage_l, layout_l))?,
        card::elements(NAME, (storage_k, layout_k))?,
    ];
    let device = storage_l.device();
    let program = launches::forward(&op.regions, [m, n])?;
    // SAFETY: the emulator runs these launches between guards, at every kind of border; the views
    // are the maps' elements, `[pixels, M]` and `[pixels, N]`, as `align` made them.
    let mut outputs = unsafe { card::run(device, &program, &inputs, Vec::new())? }.into_iter();
    let mut output = || outputs.next().expect("the program has an output for each");
    let affinity = output();
    let inverse_norms = [output(), output()];
    let shares = launches::has_shares(&op.regions).then(output);
    // Only the first forward pass can fill the cell, and an op is applied once.
    let _ = op.kept.set(Kept { inverse_norms, shares });
    let shape = Shape::from((op.regions.classes, m, n));
    Ok((CudaStorage::wrap_cuda_slice(affinity, device.clone()), shape))
}

/// Returns the gradients of those maps that track operations.
pub(super) fn backward(
    op: &ClassAffinity,
    [features_l, features_k, affinity, gradient]: [&Tensor; 4],
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let Some(kept) = op.kept.get() else {
        bail!("class_affinity: the backward pass comes before the forward pass");
    };
    let gradient = gradient.contiguous()?;
    let tensors = [features_l, features_k, &gradient, affinity];
    let guards = tensors.map(Tensor::storage_and_layout);
    let mut views = Vec::with_capacity(tensors.len());
    for (storage, layout) in &guards {
        let Storage::Cuda(storage) = &**storage else {
            bail!("class_affinity: maps and gradient lie on several devices, expected one card");
        };
        views.push((storage, card::elements(NAME, (storage, layout))?));
    }
    let device = views[0].0.device();
    let mut views = views.iter().map(|(_, view)| view.slice(..));
    let mut next = || views.next().expect("one view per tensor");
    let [l, k, gradient, affinity] = [next(), next(), next(), next()];
    let [inverse_l, inverse_k] = kept.inverse_norms.each_ref().map(|slice| slice.slice(..));
    let cosines = kept.shares.as_ref().map_or(affinity, |shares| shares.slice(..));
    let inputs = [l, k, inverse_l, inverse_k, gradient, cosines];

    let wanted = [features_l.track_op(), features_k.track_op()];
    let channels = [features_l.dim(3)?, features_k.dim(3)?];
    let program = launches::backward(&op.regions, channels, wanted)?;
    // SAFETY: as in `forward`; norms and cosines are those that the forward pass left, and candle
    // hands over a gradient of the affinity's shape.
    let mut outputs = unsafe { card::run(device, &program, &inputs, Vec::new())? }.into_iter();
    let mut tensor = |wanted: bool, like: &Tensor| {
        let values = wanted.then(|| outputs.next().expect("an output for each that is wanted"))?;
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(values, device.clone()));
        Some(Tensor::from_storage(storage, like.shape(), BackpropOp::none(), false))
    };
    Ok((tensor(wanted[0], features_l), tensor(wanted[1], features_k)))
}
