//! Area average of a finer feature map to a coarser grid.
//!
//! ```text
//! out[i, j] = mean { in[y, x] : floor(iH/h) ≤ y < ceil((i+1)H/h), floor(jW/w) ≤ x < ceil((j+1)W/w) }
//! ```
//!
//! For whole ratios `H/h`, `W/w` these are exact averages over disjoint tiles; otherwise windows
//! share their border pixels, as in PyTorch's adaptive average pooling. Its gradient spreads each
//! output's gradient evenly over its window.
//!
//! Dimension key: `B` slices, `H, W` the finer grid, `h, w` the coarser one, `M` channels.

mod cpu;
#[cfg(test)]
mod tests;

use candle_core::{
    CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, backend::BackendStorage, bail,
};
use duomo_ops::cuda::on_card;

use crate::real::{Real, elements, for_real, with_elements};

/// Returns `[B, h, w, M]`, the map itself where the grid is the same already.
///
/// # Errors
///
/// If `features` is not `[B, H, W, M]`, `f32` or `f64`, with `H ≥ h` and `W ≥ w`.
pub(crate) fn area_average(features: &Tensor, h: usize, w: usize) -> Result<Tensor> {
    match features.dims() {
        &[_, height, width, _] if (height, width) == (h, w) => Ok(features.clone()),
        &[b, height, width, m] if height >= h && width >= w && h > 0 && w > 0 => {
            if on_card(features) {
                if height % h > 0 || width % w > 0 {
                    bail!(
                        "area_average: maps on a card are averaged to grids that divide theirs, got \
                         {height} x {width} to {h} x {w}; train on the CPU"
                    );
                }
                let tiles = features.contiguous()?.reshape((b, h, height / h, w, width / w, m))?;
                return tiles.mean((2, 4));
            }
            features.contiguous()?.apply_op1(AreaAverage { h, w })
        }
        other => bail!(
            "area_average: features have shape {other:?}, expected [B, H, W, M] with H at least {h} \
             and W at least {w}"
        ),
    }
}

struct AreaAverage {
    h: usize,
    w: usize,
}

impl CustomOp1 for AreaAverage {
    fn name(&self) -> &'static str {
        "area_average"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_real!(self.name(), storage.dtype(), forward(self, storage, layout))
    }

    fn bwd(&self, features: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        for_real!(self.name(), features.dtype(), backward(self, features, gradient)).map(Some)
    }
}

fn forward<T: Real>(
    op: &AreaAverage,
    storage: &CpuStorage,
    layout: &Layout,
) -> Result<(CpuStorage, Shape)> {
    let (b, height, width, m) = layout.shape().dims4()?;
    let tiling = cpu::Tiling { fine: [height, width], coarse: [op.h, op.w], channels: m };
    let out = cpu::average(elements::<T>(storage, layout)?, tiling);
    Ok((T::to_cpu_storage_owned(out), Shape::from((b, op.h, op.w, m))))
}

fn backward<T: Real>(op: &AreaAverage, features: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let (_, height, width, m) = features.dims4()?;
    let tiling = cpu::Tiling { fine: [height, width], coarse: [op.h, op.w], channels: m };
    let out = with_elements::<T, 1, _>([gradient], |[gradient]| cpu::spread(gradient, tiling))?;
    Tensor::from_vec(out, features.shape(), features.device())
}
