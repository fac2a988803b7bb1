//! Kernels of our own on NVIDIA cards: launches as data, and what runs them.
//!
//! An operation's host code writes down a [`Program`]: which tables go up, which kernels run over
//! which grid, with which arguments. A card runs it (`card`, with the feature `cuda`) and so does an
//! emulator on the CPU (`emulator`), which compiles the very same `.cu` text with a C++ compiler. So
//! tests without a card check the kernels' arithmetic *and* the host code that launches them; only
//! the few lines that hand a program to the driver stay unchecked.

#[cfg(feature = "cuda")]
pub mod card;
#[cfg(any(test, feature = "emulator"))]
pub mod emulated;
#[cfg(any(test, feature = "emulator"))]
pub mod emulator;
mod known;
pub mod machine;
mod precision;
mod program;
#[cfg(any(test, feature = "emulator"))]
pub mod runners;
mod tensors;
#[cfg(test)]
pub(crate) mod testing;
mod transfer;

pub use known::{function_of, function_of_two};
#[cfg(any(test, feature = "emulator"))]
pub use precision::with_precision;
pub use precision::{Precision, precision, precision_on, set_precision};
pub use program::{Argument, Buffer, Launch, Program, Source};
pub(crate) use tensors::emulates;
pub use tensors::{Planned, if_emulated, on_card, tensors, update};
pub use transfer::{AVAILABLE, CUDNN, Download, open, upload};
