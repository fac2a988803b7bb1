//! Differentiable operations that candle lacks or does slowly, channels last.
//!
//! Feature maps are `[B, H, W, C]` and kernels `[K, R, S, C]` (outputs, rows, columns, inputs). Every
//! operation is one folder: `mod.rs` says what it computes and how it is differentiated, `reference.rs`
//! is the slow `f64` truth, `cpu.rs` the fast `f32` twin, and `tests.rs` holds both to each other.
//! Adam, skips, dropout, max-pooling and pixel shuffle are so short that one `cpu.rs` serves both types; their tests
//! hold the truth. The losses here are a card's, so they have a reference and no `cpu.rs`.
//! Tensors of type `f64` never take a fast twin, so a whole network can be checked against
//! published values to nine digits.
//!
//! [`fused_conv2d()`] joins a convolution with the norm before it and what follows it in one pass over memory,
//! [`fused_pixel_shuffle()`] a pixel shuffle with the norm before it; the operations they join are their reference.
//!
//! The results of the fast path do not depend on the number of threads: work is split by shape alone,
//! and partial sums are added in a fixed order. They differ in the last bits between processors with
//! different vector units; the environment variable `DUOMO_VECTOR_UNIT` (`portable`, `avx2` or `avx512`)
//! caps the unit. `DUOMO_CONV2D` (`direct` or `winograd`) prescribes the algorithm of 3×3 convolutions.
//!
//! With the feature `cuda` every operation also takes `f32` tensors on an NVIDIA card, where no function waits
//! for the card. Norms there are [`batch_statistics`] and [`Activation`]; the losses' kernels are [`losses`], whose CPU
//! twins are those of `duomo-model`. With the feature `cudnn` convolutions on a card are cuDNN's, in f32, TF32 or bf16. The
//! feature `emulator` is for tests of other crates: it runs the CUDA kernels on the CPU.

mod adam;
mod add_skip;
mod conv2d;
pub mod cuda;
mod dropout;
mod fill;
mod fused_conv2d;
mod fused_pixel_shuffle;
pub mod losses;
mod max_pool2;
mod memory;
mod norm;
mod pixel_shuffle;
mod pool;
#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod simd;
mod storage;
#[cfg(test)]
mod testing;
mod transposed_conv2d;

pub use adam::{AdamOptions, AdamVariable, adam_update, adam_update_all};
pub use add_skip::add_skip;
pub use conv2d::{Conv2d, Padding, conv2d, conv2d_input_gradient, conv2d_kernel_gradient};
pub use dropout::{dropout, split_mix};
pub use fused_conv2d::{Backward, Epilogue, Gradients, fused_conv2d, fused_conv2d_gradients};
pub use fused_pixel_shuffle::{fused_pixel_shuffle, fused_pixel_shuffle_gradients};
pub use max_pool2::{max_pool2, max_pool2_gradient};
pub use memory::keep_freed_memory;
pub use norm::{Activation, BatchStatistics, NormOptions, batch_norm_leaky_relu, batch_statistics};
pub use pixel_shuffle::{pixel_shuffle, pixel_unshuffle};
pub use pool::in_pool;
pub use simd::vectorized;
pub use transposed_conv2d::{transposed_conv2d, transposed_conv2d_gradients};
