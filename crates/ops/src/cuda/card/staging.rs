//! Copies that the host does not wait for: through page-locked memory, which is used over and over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Result;
use candle_core::cuda_backend::{
    WrapErr as _,
    cudarc::driver::{
        CudaEvent, CudaSlice, CudaStream, CudaView, DeviceRepr, DeviceSlice as _, PinnedHostSlice,
    },
};

/// Bytes from which on the driver might wait for the card before it takes them from ordinary memory.
const LARGE: usize = 32 << 10;

/// Pieces of one size that are made before the first is used again: those of some steps, so that the first is
/// free by then.
const PIECES: usize = 32;

/// Pieces of page-locked memory and the events after which they are free, oldest first.
static FREE: Mutex<VecDeque<(PinnedHostSlice<u8>, CudaEvent)>> = Mutex::new(VecDeque::new());

/// Copies numbers to the card.
///
/// # Errors
///
/// If memory runs out.
pub(super) fn upload<T: DeviceRepr>(
    stream: &Arc<CudaStream>,
    values: &[T],
) -> Result<CudaSlice<T>> {
    let length = size_of_val(values);
    if length < LARGE {
        return stream.clone_htod(values).w();
    }
    let mut piece = piece(stream, length)?;
    // SAFETY: numbers without padding are bytes.
    let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), length) };
    piece.as_mut_slice().w()?.copy_from_slice(bytes);
    // SAFETY: the copy that follows fills all of it.
    let mut copy = unsafe { stream.alloc::<T>(values.len()) }.w()?;
    {
        // SAFETY: any bytes make an `i32`, an `f32` and a `u8`.
        let view = unsafe { copy.transmute_mut::<u8>(length) };
        stream.memcpy_htod(&piece, &mut view.expect("it has this many bytes")).w()?;
    }
    give_back(piece, stream.record_event(None).w()?);
    Ok(copy)
}

/// Numbers on their way from a card.
#[derive(Debug)]
pub struct Download {
    piece: PinnedHostSlice<u8>,
    arrived: CudaEvent,
}

impl Download {
    /// Begins to copy what the stream's work so far leaves in the card's memory.
    ///
    /// # Errors
    ///
    /// If memory runs out.
    pub(super) fn begin(stream: &Arc<CudaStream>, values: &CudaView<'_, f32>) -> Result<Self> {
        let length = values.num_bytes();
        let mut piece = piece(stream, length)?;
        // SAFETY: numbers without padding are bytes.
        let bytes = unsafe { values.transmute::<u8>(length) };
        stream.memcpy_dtoh(&bytes.expect("it has this many bytes"), &mut piece).w()?;
        Ok(Self { piece, arrived: stream.record_event(None).w()? })
    }

    /// Waits for the copy, but for nothing that was put on the stream after it.
    ///
    /// # Errors
    ///
    /// If work on the stream has failed.
    pub fn finish(self) -> Result<Vec<f32>> {
        self.arrived.synchronize().w()?;
        let bytes = self.piece.as_slice().w()?.as_chunks().0;
        let numbers = bytes.iter().map(|number| f32::from_ne_bytes(*number)).collect();
        give_back(self.piece, self.arrived);
        Ok(numbers)
    }
}

/// Page-locked memory that no copy uses.
fn piece(stream: &Arc<CudaStream>, length: usize) -> Result<PinnedHostSlice<u8>> {
    let card = stream.context().ordinal();
    // A panic elsewhere leaves the list whole.
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |(piece, _): &(PinnedHostSlice<u8>, _)| {
        piece.len() == length && piece.context().ordinal() == card
    };
    if free.iter().filter(|entry| fits(entry)).count() >= PIECES {
        let oldest = free.iter().position(fits).and_then(|at| free.remove(at));
        let (piece, used) = oldest.expect("there are some");
        used.synchronize().w()?;
        return Ok(piece);
    }
    // SAFETY: whoever takes it writes all of it before it is read.
    unsafe { stream.context().alloc_pinned_with_flags(length, 0) }.w()
}

fn give_back(piece: PinnedHostSlice<u8>, used: CudaEvent) {
    FREE.lock().unwrap_or_else(PoisonError::into_inner).push_back((piece, used));
}
