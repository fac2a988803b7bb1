//! Runs a [`Program`] on an NVIDIA card.

mod staging;
mod tensors;
#[cfg(test)]
mod tests;
mod update;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::{
    CudaDevice, WrapErr as _,
    cudarc::{
        driver::{
            self, CudaSlice, CudaView, CudaViewMut, DevicePtr as _, DevicePtrMut as _, LaunchArgs,
            LaunchConfig, PushKernelArg as _,
        },
        nvrtc::{self, CompileOptions},
    },
};
use candle_core::{Device, Error, Result};

use super::program::{Argument, Buffer, Launch, Program, Source};
pub use staging::Download;
pub use tensors::{apply, download, elements, tensors, upload};
pub use update::update;

/// Returns a card with a stream of its own.
///
/// # Errors
///
/// If the driver cannot use it.
pub fn open(index: usize) -> Result<Device> {
    let device = CudaDevice::new_with_stream(index)?;
    // Memory that a step has freed is for the next one; without this, it would go back whenever the host waits.
    let mut keep = u64::MAX;
    // SAFETY: the device is open, the pool is its own, and the attribute a number of 64 bits.
    unsafe {
        let pool = driver::result::device::get_default_mem_pool(
            device.cuda_stream().context().cu_device(),
        );
        let attribute = driver::sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        driver::sys::cuMemPoolSetAttribute(pool.w()?, attribute, (&raw mut keep).cast())
            .result()
            .w()?;
    }
    // SAFETY: everything on this card is put on the one stream of the device, so no use overtakes another.
    unsafe { device.disable_event_tracking() };
    Ok(Device::Cuda(device))
}

/// Returns the program's [`Buffer::Output`] and [`Buffer::Zeros`], in order.
///
/// `inputs` and `updated` are its [`Buffer::Input`] and [`Buffer::Updated`], in order. Everything is
/// put on the device's stream; the host waits for nothing. The first use of a source compiles it, for
/// every card at once, and the first use on a card translates it for that card.
///
/// # Errors
///
/// If the source does not compile, memory runs out, or the driver refuses a launch.
///
/// # Panics
///
/// If there are fewer tensors than the program's buffers want.
///
/// # Safety
///
/// The kernels must stay within the buffers that the launches hand them, must not write to those
/// handed over as [`Argument::Read`], and must take the arguments that the launches list.
pub unsafe fn run(
    device: &CudaDevice,
    program: &Program,
    inputs: &[CudaView<'_, f32>],
    updated: Vec<CudaViewMut<'_, f32>>,
) -> Result<Vec<CudaSlice<f32>>> {
    let mut tensors = Tensors { inputs: inputs.iter(), updated: updated.into_iter() };
    let mut memory = Vec::with_capacity(program.buffers.len());
    for buffer in &program.buffers {
        // SAFETY: what the kernels leave unwritten, they do not promise; see above.
        let placed = unsafe { place(device, buffer, &mut tensors, &mut memory)? };
        memory.push(placed);
    }
    for launch in &program.launches {
        // SAFETY: the caller vouches for kernels and arguments.
        unsafe { put_on_stream(device, program.source, launch, &mut memory)? };
    }
    let outputs = memory.into_iter().zip(&program.buffers);
    Ok(outputs
        .filter_map(|(memory, buffer)| match (memory, buffer) {
            (Memory::Floats(slice), Buffer::Output(_) | Buffer::Zeros(_)) => Some(slice),
            _ => None,
        })
        .collect())
}

/// The caller's tensors that no buffer has taken yet.
struct Tensors<'a, I> {
    inputs: I,
    updated: std::vec::IntoIter<CudaViewMut<'a, f32>>,
}

/// A buffer in the card's memory.
enum Memory<'a> {
    Input(&'a CudaView<'a, f32>),
    Updated(CudaViewMut<'a, f32>),
    Floats(CudaSlice<f32>),
    Ints(CudaSlice<i32>),
    Bytes(CudaSlice<u8>),
    Addresses(CudaSlice<u64>),
}

impl Memory<'_> {
    /// Where it begins. Everything runs on one stream, so the address need not be guarded.
    fn address(&mut self, device: &CudaDevice) -> u64 {
        let stream = &device.cuda_stream();
        match self {
            Self::Input(view) => view.device_ptr(stream).0,
            Self::Updated(view) => view.device_ptr_mut(stream).0,
            Self::Floats(slice) => slice.device_ptr_mut(stream).0,
            Self::Ints(slice) => slice.device_ptr_mut(stream).0,
            Self::Bytes(slice) => slice.device_ptr_mut(stream).0,
            Self::Addresses(slice) => slice.device_ptr_mut(stream).0,
        }
    }
}

/// # Safety
///
/// Scratch and output memory must not be read before it is written.
unsafe fn place<'a>(
    device: &CudaDevice,
    buffer: &Buffer,
    tensors: &mut Tensors<'a, impl Iterator<Item = &'a CudaView<'a, f32>>>,
    earlier: &mut [Memory<'_>],
) -> Result<Memory<'a>> {
    let stream = device.cuda_stream();
    // The driver knows no empty allocation.
    let some = |length: usize| length.max(1);
    Ok(match buffer {
        Buffer::Input => {
            Memory::Input(tensors.inputs.next().expect("a tensor for every `Buffer::Input`"))
        }
        Buffer::Updated => {
            Memory::Updated(tensors.updated.next().expect("a tensor for every `Buffer::Updated`"))
        }
        Buffer::Ints(values) if values.is_empty() => Memory::Ints(stream.alloc_zeros(1).w()?),
        Buffer::Ints(values) => Memory::Ints(staging::upload(&stream, values)?),
        Buffer::Floats(values) if values.is_empty() => Memory::Floats(stream.alloc_zeros(1).w()?),
        Buffer::Floats(values) => Memory::Floats(staging::upload(&stream, values)?),
        Buffer::Bytes(values) if values.is_empty() => Memory::Bytes(stream.alloc_zeros(1).w()?),
        Buffer::Bytes(values) => Memory::Bytes(staging::upload(&stream, values)?),
        Buffer::Addresses(of) if of.is_empty() => Memory::Addresses(stream.alloc_zeros(1).w()?),
        Buffer::Addresses(of) => {
            let of: Vec<u64> = of.iter().map(|&other| earlier[other].address(device)).collect();
            Memory::Addresses(stream.clone_htod(&of).w()?)
        }
        Buffer::Scratch(length) | Buffer::Output(length) => {
            // SAFETY: the caller promises that a launch writes it before anything reads it.
            Memory::Floats(unsafe { stream.alloc(some(*length)) }.w()?)
        }
        Buffer::Zeros(length) => Memory::Floats(stream.alloc_zeros(some(*length)).w()?),
    })
}

/// # Safety
///
/// As [`run`].
unsafe fn put_on_stream(
    device: &CudaDevice,
    source: Source,
    launch: &Launch,
    memory: &mut [Memory<'_>],
) -> Result<()> {
    let ptx = ptx(source)?;
    let kernel = device.get_or_load_custom_func(launch.kernel, source.name, &ptx)?;
    let mut builder = kernel.builder();
    // Each buffer stands in a launch once, see `Program::launch`, so all can be lent at once.
    let mut free: Vec<Option<&mut Memory<'_>>> = memory.iter_mut().map(Some).collect();
    for argument in &launch.arguments {
        match argument {
            Argument::Int(value) => {
                builder.arg(value);
            }
            Argument::Float(value) => {
                builder.arg(value);
            }
            Argument::Long(value) => {
                builder.arg(value);
            }
            Argument::Read(buffer) | Argument::Write(buffer) => {
                let memory = free[*buffer].take().expect("a buffer stands in a launch once");
                hand_over(&mut builder, memory, matches!(argument, Argument::Write(_)))?;
            }
        }
    }
    let blocks = launch.grid.map(as_u32);
    let config = LaunchConfig {
        grid_dim: (blocks[0], blocks[1], blocks[2]),
        block_dim: (as_u32(launch.threads), 1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the caller vouches that the arguments are the kernel's and that it stays in bounds.
    unsafe { builder.launch(config) }.w()?;
    Ok(())
}

fn hand_over<'a>(
    builder: &mut LaunchArgs<'a>,
    memory: &'a mut Memory<'_>,
    writes: bool,
) -> Result<()> {
    match (memory, writes) {
        (Memory::Input(_), true) => return Err(Error::msg("a kernel may not write to an input")),
        (Memory::Input(view), false) => builder.arg(*view),
        (Memory::Updated(view), _) => builder.arg(view),
        (Memory::Floats(slice), true) => builder.arg(slice),
        (Memory::Floats(slice), false) => builder.arg(&*slice),
        // Tables go up with the program, and no kernel has a reason to change one.
        (Memory::Ints(_) | Memory::Bytes(_) | Memory::Addresses(_), true) => {
            return Err(Error::msg("a kernel may not write to a table"));
        }
        (Memory::Ints(slice), false) => builder.arg(&*slice),
        (Memory::Bytes(slice), false) => builder.arg(&*slice),
        (Memory::Addresses(slice), false) => builder.arg(&*slice),
    };
    Ok(())
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).expect("`Program::launch` checked the grid")
}

/// Compiles a source to PTX, once per process.
///
/// Without a named architecture NVRTC takes the oldest it knows, so the same text serves every card, or with one
/// all from there on, and the driver makes code for the one at hand.
fn ptx(source: Source) -> Result<Arc<str>> {
    static COMPILED: Mutex<Option<HashMap<&str, Arc<str>>>> = Mutex::new(None);
    // A panic elsewhere leaves the map whole.
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = compiled.get_or_insert_default();
    if let Some(ptx) = compiled.get(source.name) {
        return Ok(Arc::clone(ptx));
    }
    let options = CompileOptions { arch: source.architecture, ..CompileOptions::default() };
    let ptx = nvrtc::compile_ptx_with_opts(source.text, options).w()?;
    let ptx: Arc<str> = ptx.to_src().into();
    compiled.insert(source.name, Arc::clone(&ptx));
    Ok(ptx)
}
