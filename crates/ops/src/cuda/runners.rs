//! What can run a [`Program`] in a test.

use std::io::Write as _;

use candle_core::{DType, Device, Result, Tensor};

use super::program::Program;
use super::{emulated, emulator};

/// The emulator, or a card.
#[derive(Debug)]
pub enum Runner {
    /// The kernels on the CPU, in two orders of threads.
    Emulator,
    /// The kernels on the first NVIDIA card, twice.
    #[cfg(feature = "cuda")]
    Card(candle_core::CudaDevice),
}

/// Returns the emulator if there is a C++ compiler, and a card if this build and this machine have one.
///
/// Says which is missing, also where the output of a passing test is hidden.
///
/// # Panics
///
/// If the driver shows a card but cannot use it.
pub fn runners() -> Vec<Runner> {
    let mut runners = Vec::new();
    if emulator::compiler().is_some() {
        runners.push(Runner::Emulator);
    } else {
        skip("no C++ compiler; set CXX or install g++");
    }
    #[cfg(feature = "cuda")]
    if let Some(Device::Cuda(device)) = card() {
        runners.push(Runner::Card(device));
    }
    runners
}

/// Returns the first card, and says so if there is none. All tests of a process share its stream.
///
/// # Panics
///
/// If the driver shows a card but cannot use it.
#[cfg(feature = "cuda")]
pub fn card() -> Option<Device> {
    static CARD: std::sync::OnceLock<Option<Device>> = std::sync::OnceLock::new();
    let card = CARD.get_or_init(|| {
        let shown = !super::machine::Machine::look().cards.is_empty();
        shown.then(|| super::open(0).expect("the driver shows a card"))
    });
    if card.is_none() {
        skip("this machine shows no card");
    }
    card.clone()
}

/// Returns where tensors of `f32` can lie in a test: the CPU, and a card if this build and this machine have one.
///
/// # Panics
///
/// If the driver shows a card but cannot use it.
pub fn devices() -> Vec<Device> {
    let devices = vec![Device::Cpu];
    #[cfg(feature = "cuda")]
    let devices = devices.into_iter().chain(card()).collect();
    devices
}

/// A type of number, and where numbers of it lie.
#[derive(Clone, Debug)]
pub struct Place {
    /// The type.
    pub dtype: DType,
    /// The device.
    pub device: Device,
}

impl Place {
    /// A type on the CPU.
    pub fn on_cpu(dtype: DType) -> Self {
        Self { dtype, device: Device::Cpu }
    }

    /// Returns a copy of a tensor there.
    ///
    /// # Errors
    ///
    /// If memory runs out.
    pub fn put(&self, tensor: &Tensor) -> Result<Tensor> {
        tensor.to_dtype(self.dtype)?.to_device(&self.device)
    }
}

/// Returns everywhere that an operation can compute: `f64` on the CPU, and `f32` on all [`devices`].
///
/// # Panics
///
/// Those of [`devices`].
pub fn places() -> Vec<Place> {
    let of_f32 = devices().into_iter().map(|device| Place { dtype: DType::F32, device });
    std::iter::once(Place::on_cpu(DType::F64)).chain(of_f32).collect()
}

fn skip(why: &str) {
    // Not by `eprintln!`, which a passing test does not show.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

impl Runner {
    /// Returns what `work` returns, which is to compute on the device that it is handed: the card, or the CPU with
    /// every operation of this thread [emulated](emulated::on_a_card).
    pub fn compute<R>(&self, work: impl FnOnce(&Device) -> R) -> R {
        match self {
            Self::Emulator => emulated::on_a_card(|| work(&Device::Cpu)),
            #[cfg(feature = "cuda")]
            Self::Card(device) => work(&Device::Cuda(device.clone())),
        }
    }

    /// Returns what the program leaves in every buffer that is returned, in order; `inputs` are the
    /// program's inputs and updated tensors, in order.
    ///
    /// # Panics
    ///
    /// If the program fails, or a second run gives other bits.
    pub fn run(&self, program: &Program, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
        match self {
            Self::Emulator => emulator::run(program, inputs),
            #[cfg(feature = "cuda")]
            Self::Card(device) => {
                let [first, second] = [0, 1].map(|_| on_card(device, program, inputs));
                let bits = |values: &[Vec<f32>]| -> Vec<u32> {
                    values.iter().flatten().map(|value| value.to_bits()).collect()
                };
                assert!(bits(&first) == bits(&second), "{}: other bits", program.source.name);
                first
            }
        }
    }
}

#[cfg(feature = "cuda")]
fn on_card(
    device: &candle_core::CudaDevice,
    program: &Program,
    inputs: &[&[f32]],
) -> Vec<Vec<f32>> {
    use super::program::Buffer;

    let stream = device.cuda_stream();
    let up = |values: &&[f32]| stream.clone_htod(*values).expect("the card has memory");
    let mut tensors: Vec<_> = inputs.iter().map(up).collect();
    let taken = program.buffers.iter().filter(|b| matches!(b, Buffer::Input | Buffer::Updated));
    let (mut read, mut updated) = (Vec::new(), Vec::new());
    for (buffer, tensor) in taken.zip(&mut tensors) {
        match buffer {
            Buffer::Updated => updated.push(tensor.slice_mut(..)),
            _ => read.push(tensor.slice(..)),
        }
    }
    // SAFETY: the emulator has run the program between guards.
    let outputs = unsafe { super::card::run(device, program, &read, updated) };
    let down = |slice| stream.clone_dtoh(slice).expect("the results fit main memory");
    let outputs = outputs.expect("the card runs it");
    let mut outputs = outputs.iter().map(down);
    let mut tensors = tensors.iter();
    let mut returned = Vec::new();
    for buffer in &program.buffers {
        match buffer {
            Buffer::Input => drop(tensors.next()),
            Buffer::Updated => returned.extend(tensors.next().map(down)),
            Buffer::Output(_) | Buffer::Zeros(_) => returned.extend(outputs.next()),
            _ => {}
        }
    }
    returned
}
