//! Which algorithm computes a convolution.
//!
//! Processor time of one thread with AVX-512, milliseconds, direct / Winograd, images of batch 6 with zero
//! padding (the direct path is at its best on this unit: with AVX2 and without, Winograd wins earlier):
//!
//! ```text
//! channels -> outputs, side      forward      backward-data  backward-weight
//!    4 ->   4   112²          0.74 /  2.34     0.50 /  2.74     0.31 /  3.07
//!    8 ->   8    56²          0.31 /  0.60     0.29 /  0.60     0.28 /  0.77
//!    8 ->  16    56²          0.43 /  0.61     0.56 /  0.68     0.54 /  0.78
//!   16 ->  16   112²          3.70 /  3.46     3.69 /  3.34     3.48 /  3.87
//!   16 ->  16    28²          0.22 /  0.19     0.22 /  0.18     0.22 /  0.23
//!   16 ->  32    14²          0.13 /  0.09     0.13 /  0.10     0.13 /  0.12
//!   32 ->  64    14²          0.38 /  0.25     0.45 /  0.25     0.48 /  0.26
//!  128 -> 128    14²          3.45 /  1.39     3.50 /  1.44     4.07 /  1.66
//! ```

use std::sync::OnceLock;

use super::{Dims, winograd};

/// Environment variable that prescribes the algorithm: `direct`, or `winograd` wherever it can compute.
pub(super) const ALGORITHM: &str = "DUOMO_CONV2D";

/// Channels and outputs from which on Winograd's algorithm is faster.
const LEAST_CHANNELS: usize = 16;

/// Products of channels and outputs from which on it is faster for the gradient of the kernel.
const LEAST_PRODUCTS: usize = 16 * 32;

/// Products per pixel, of at most 9, with which it is faster: tiles that mostly lie outside a small image
/// save too little.
const MOST_PRODUCTS_PER_PIXEL: usize = 5;

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pass {
    Forward,
    BackwardInput,
    BackwardKernel,
}

/// Whether Winograd's algorithm computes this convolution.
pub(super) fn takes_winograd(pass: Pass, dims: &Dims) -> bool {
    let can = dims.kernel_rows == 3 && dims.kernel_columns == 3;
    let pixels = dims.batch * dims.height * dims.width;
    let any = pixels * dims.channels * dims.outputs > 0;
    can && any && prescribed().unwrap_or_else(|| is_faster(pass, dims))
}

/// Whether [`ALGORITHM`] prescribes Winograd's algorithm, if it prescribes one.
fn prescribed() -> Option<bool> {
    static PRESCRIBED: OnceLock<Option<bool>> = OnceLock::new();
    *PRESCRIBED.get_or_init(|| match std::env::var(ALGORITHM).as_deref() {
        Ok("direct") => Some(false),
        Ok("winograd") => Some(true),
        _ => None,
    })
}

/// The batch has no part in it, so that an image's result does not depend on those beside it.
fn is_faster(pass: Pass, dims: &Dims) -> bool {
    let least = match pass {
        Pass::Forward | Pass::BackwardInput => 0,
        Pass::BackwardKernel => LEAST_PRODUCTS,
    };
    let one = Dims { batch: 1, ..*dims };
    dims.channels >= LEAST_CHANNELS
        && dims.outputs >= LEAST_CHANNELS
        && dims.channels * dims.outputs >= least
        && winograd::products(&one) <= MOST_PRODUCTS_PER_PIXEL * dims.height * dims.width
}
