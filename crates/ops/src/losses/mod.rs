//! What the losses of a segmentation sum over pixels, on a card; its CPU twin is `duomo-model`'s.
//!
//! With `p = softmax(logits)`, the one-hot reference `g`, pixels `x`, `n_c` of the `n` pixels in class `c`
//! and `D_c = Σ_x p_c² + n_c + 1e-7`:
//!
//! ```text
//! dice          = 1 − (1/C) Σ_c 2 Σ_x p_c g_c / D_c
//! cross_entropy = −(1/n) Σ_x w_g(x) · ln clip(p_g(x), 0.005, 1),   w_c = 1 − n_c / n
//! z̄_c           = Σ_x z(x) g_c(x) / (n_c + 1e-6)                          the logits' class means
//! ```
//!
//! Dimension key: `C` classes, pixels of the whole batch.

mod gradients;
mod launches;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use gradients::{class_means, segmentation};
