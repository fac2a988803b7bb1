//! Programs over candle's tensors, on the card that holds them or on one that a test emulates.

use candle_core::{CpuStorage, Layout, Result, Shape, Tensor, Var};

#[cfg(feature = "cuda")]
use super::card;
#[cfg(any(feature = "emulator", test))]
use super::emulated;
use super::program::Program;

/// Whether operations on this tensor are kernels': it lies on a card, or a test emulates one.
pub fn on_card(tensor: &Tensor) -> bool {
    tensor.device().is_cuda() || emulates()
}

/// Whether the CPU's tensors stand for those of a card, see `emulated`.
pub(crate) fn emulates() -> bool {
    #[cfg(any(feature = "emulator", test))]
    return emulated::is_on();
    #[cfg(not(any(feature = "emulator", test)))]
    false
}

/// What an operation's program is made for: the program and the shape of its only output.
pub type Planned = (Program, Shape);

/// Returns what an operation's program makes of its arguments on the CPU where a test emulates a card, and
/// nothing otherwise.
///
/// # Errors
///
/// Those of `plan`, and if the arguments are not contiguous and `f32`.
#[cfg_attr(
    not(any(feature = "emulator", test)),
    expect(unused_variables, reason = "a build without the emulator has no use for them")
)]
pub fn if_emulated<const N: usize>(
    op: &str,
    inputs: [(&CpuStorage, &Layout); N],
    plan: impl FnOnce() -> Result<Planned>,
) -> Result<Option<(CpuStorage, Shape)>> {
    #[cfg(any(feature = "emulator", test))]
    if emulates() {
        let (program, shape) = plan()?;
        return Ok(Some((emulated::apply(op, &program, inputs)?, shape)));
    }
    Ok(None)
}

/// Returns the outputs of a program as tensors of the given shapes, without a graph.
///
/// # Errors
///
/// If the tensors are not all contiguous, `f32` and on one card, or the card refuses.
///
/// # Panics
///
/// If the program has other inputs, or fewer outputs.
///
/// # Safety
///
/// The kernels must stay within the buffers that the launches hand them, must not write to those
/// handed over as [`Argument::Read`](super::Argument::Read), and must take the arguments that the launches
/// list.
pub unsafe fn tensors<const N: usize>(
    op: &str,
    program: &Program,
    inputs: &[&Tensor],
    shapes: [&Shape; N],
) -> Result<[Tensor; N]> {
    #[cfg(any(feature = "emulator", test))]
    if emulates() {
        return emulated::tensors(op, program, inputs, shapes);
    }
    #[cfg(feature = "cuda")]
    // SAFETY: the caller vouches for the kernels.
    return unsafe { card::tensors(op, program, inputs, shapes) };
    #[cfg(not(feature = "cuda"))]
    Err(no_kernels(op, &(program, inputs, shapes)))
}

/// Runs a program that changes variables in place: its [`Buffer::Updated`](super::Buffer::Updated), in order.
///
/// # Errors
///
/// Those of [`tensors`], and if a variable is a view.
///
/// # Panics
///
/// Those of [`tensors`].
///
/// # Safety
///
/// As [`tensors`]. No two variables may share their storage, nor one with an input: the call would wait
/// for itself.
pub unsafe fn update(
    op: &'static str,
    program: &Program,
    inputs: &[&Tensor],
    updated: &[&Var],
) -> Result<()> {
    #[cfg(any(feature = "emulator", test))]
    if emulates() {
        return emulated::update(op, program, inputs, updated);
    }
    #[cfg(feature = "cuda")]
    // SAFETY: the caller vouches for kernels and variables.
    return unsafe { card::update(op, program, inputs, updated) };
    #[cfg(not(feature = "cuda"))]
    Err(no_kernels(op, &(program, inputs, updated)))
}

/// In a build without cards; `_unused` names what such a build has no use for.
#[cfg(not(feature = "cuda"))]
fn no_kernels<T: ?Sized>(op: &str, _unused: &T) -> candle_core::Error {
    candle_core::Error::Msg(format!(
        "{op}: this program was built without the feature `cuda`; keep its tensors on the CPU"
    ))
}
