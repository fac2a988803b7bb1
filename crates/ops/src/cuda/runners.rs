//! What can run a [`Program`] in a test.

use std::io::Write as _;

use super::emulator;
use super::program::Program;

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
    if let Some(candle_core::Device::Cuda(device)) = card() {
        runners.push(Runner::Card(device));
    }
    runners
}

/// Returns the first card, and says so if there is none.
///
/// # Panics
///
/// If the driver shows a card but cannot use it.
#[cfg(feature = "cuda")]
pub fn card() -> Option<candle_core::Device> {
    if super::machine::Machine::look().cards.is_empty() {
        skip("this machine shows no card");
        return None;
    }
    Some(super::open(0).expect("the driver shows a card"))
}

fn skip(why: &str) {
    // Not by `eprintln!`, which a passing test does not show.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

impl Runner {
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
