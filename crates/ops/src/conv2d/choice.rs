//! Which algorithm computes a convolution.

use std::sync::OnceLock;

use super::Dims;

/// Environment variable that prescribes the algorithm: `direct`, or `winograd` wherever it can compute.
pub(super) const ALGORITHM: &str = "DUOMO_CONV2D";

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    BackwardInput,
    BackwardKernel,
}

/// Whether Winograd's algorithm computes this convolution.
pub(super) fn takes_winograd(pass: Pass, dims: &Dims) -> bool {
    let can = dims.kernel_rows == 3 && dims.kernel_columns == 3;
    let filled = dims.input_shape().elem_count() * dims.outputs > 0;
    can && filled && prescribed().unwrap_or_else(|| is_faster(pass, dims))
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

fn is_faster(_pass: Pass, dims: &Dims) -> bool {
    dims.channels >= 16 && dims.outputs >= 16
}
