//! A card that a test emulates: tensors of the CPU stand for those of a card.

use std::cell::Cell;

use candle_core::{CpuStorage, DType, Layout, Result, Shape, Storage, Tensor, Var, bail};

use super::emulator;
use super::program::{Buffer, Program};
use crate::storage::elements;

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// Returns what `work` returns, with every operation of this thread on `f32` tensors computed by its
/// kernels, in the emulator.
///
/// Operations take the way that they take for tensors of a card, up to the lines that hand a program to
/// the driver. What candle computes itself, it computes on the CPU.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use duomo_ops::cuda::{emulated, emulator, on_card};
///
/// let image = Tensor::new(&[[1f32, 2.], [4., 3.]], &Device::Cpu)?.reshape((1, 2, 2, 1))?;
/// assert!(!on_card(&image));
/// if emulator::compiler().is_some() {
///     let largest = emulated::on_a_card(|| duomo_ops::max_pool2(&image))?;
///     assert_eq!(largest.flatten_all()?.to_vec1::<f32>()?, [4.]);
/// }
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn on_a_card<R>(work: impl FnOnce() -> R) -> R {
    /// Ends it also when `work` panics.
    struct End(bool);
    impl Drop for End {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
    let _end = End(ON.replace(true));
    work()
}

/// Whether this thread's tensors stand for those of a card.
pub(super) fn is_on() -> bool {
    ON.get()
}

/// Returns the only output of a program over the arguments of a custom operation.
pub(super) fn apply<const N: usize>(
    op: &str,
    program: &Program,
    inputs: [(&CpuStorage, &Layout); N],
) -> Result<CpuStorage> {
    let inputs = inputs.into_iter().map(|input| numbers(op, input)).collect::<Result<Vec<_>>>()?;
    let output = emulator::run_in_one_order(program, &inputs).into_iter().next();
    Ok(CpuStorage::F32(output.expect("the program has an output")))
}

/// Twin of `card::tensors`.
pub(super) fn tensors<const N: usize>(
    op: &str,
    program: &Program,
    inputs: &[&Tensor],
    shapes: [&Shape; N],
) -> Result<[Tensor; N]> {
    let inputs = inputs.iter().map(|input| copied(op, input)).collect::<Result<Vec<_>>>()?;
    let Some((device, _)) = inputs.first() else { bail!("{op}: got no tensor") };
    let slices: Vec<&[f32]> = inputs.iter().map(|(_, values)| &values[..]).collect();
    let mut outputs = emulator::run_in_one_order(program, &slices).into_iter();
    let mut tensors = Vec::with_capacity(N);
    for shape in shapes {
        let output = outputs.next().expect("the program has an output for each shape");
        tensors.push(Tensor::from_vec(output, shape, device)?);
    }
    Ok(tensors.try_into().expect("one tensor was made of each shape"))
}

/// Twin of `card::update`.
pub(super) fn update(
    op: &str,
    program: &Program,
    inputs: &[&Tensor],
    updated: &[&Var],
) -> Result<()> {
    let (mut inputs, mut variables) = (inputs.iter(), updated.iter());
    let mut given = Vec::new();
    for buffer in &program.buffers {
        match buffer {
            Buffer::Input => {
                given.push(copied(op, inputs.next().expect("a tensor for every `Buffer::Input`"))?);
            }
            Buffer::Updated => {
                let variable = variables.next().expect("a variable for every `Buffer::Updated`");
                given.push(copied(op, variable)?);
            }
            _ => {}
        }
    }
    let slices: Vec<&[f32]> = given.iter().map(|(_, values)| &values[..]).collect();
    for (variable, values) in updated.iter().zip(emulator::run_in_one_order(program, &slices)) {
        variable.set(&Tensor::from_vec(values, variable.shape(), variable.device())?)?;
    }
    Ok(())
}

fn copied(op: &str, tensor: &Tensor) -> Result<(candle_core::Device, Vec<f32>)> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        bail!("{op}: got a tensor on a card while the CPU emulates one");
    };
    Ok((tensor.device().clone(), numbers(op, (storage, layout))?.to_vec()))
}

/// As `card::elements`: neither another type nor gaps between elements.
fn numbers<'a>(op: &str, (storage, layout): (&'a CpuStorage, &'a Layout)) -> Result<&'a [f32]> {
    if !matches!(storage, CpuStorage::F32(_)) {
        bail!("{op}: a card takes elements of type {:?}", DType::F32);
    }
    elements(op, (storage, layout))
}
