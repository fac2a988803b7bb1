//! The way to a card and back.

use candle_core::{DType, Device, Result, Shape, Tensor, bail};

#[cfg(feature = "cuda")]
use super::card;
use super::machine::Machine;

/// Whether this program can compute on a card.
pub const AVAILABLE: bool = cfg!(feature = "cuda");

/// Whether convolutions on a card are cuDNN's, in each [`Precision`](super::Precision).
pub const CUDNN: bool = cfg!(feature = "cudnn");

/// Returns a card, counted from 0, as a device with a stream of its own: whatever thread uses it, work is done in
/// the order in which it is asked for.
///
/// # Errors
///
/// If the program was built without the feature `cuda`, or the machine has no such card.
pub fn open(index: usize) -> Result<Device> {
    if !AVAILABLE {
        bail!("this program was built without the feature `cuda`");
    }
    let cards = Machine::look().cards.len();
    if index >= cards {
        bail!(
            "got card {index}, expected one of the {cards} that the driver shows, counted from 0"
        );
    }
    #[cfg(feature = "cuda")]
    return card::open(index);
    #[cfg(not(feature = "cuda"))]
    unreachable!("there are no cards without the feature")
}

/// Returns a tensor of `values` on a device. The host does not wait for a card.
///
/// # Errors
///
/// If the shape has another number of elements, or memory runs out.
pub fn upload(values: &[f32], shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        return card::upload(values, shape, device);
    }
    Tensor::from_slice(values, shape, device)
}

/// Numbers on their way from a device; those of the CPU have arrived.
#[derive(Debug)]
pub struct Download(Way);

#[derive(Debug)]
enum Way {
    Arrived(Vec<f32>),
    #[cfg(feature = "cuda")]
    Coming(card::Download),
}

impl Download {
    /// Begins to copy the elements of a tensor. The host does not wait for a card.
    ///
    /// # Errors
    ///
    /// If memory runs out.
    ///
    /// # Examples
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use duomo_ops::cuda::Download;
    ///
    /// let losses = Tensor::new(&[0.5f32, 0.25], &Device::Cpu)?;
    /// let download = Download::begin(&losses)?;
    /// assert_eq!(download.arrived(), Some(&[0.5, 0.25][..]));
    /// assert_eq!(download.finish()?, [0.5, 0.25]);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn begin(tensor: &Tensor) -> Result<Self> {
        let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
        #[cfg(feature = "cuda")]
        if tensor.device().is_cuda() {
            return Ok(Self(Way::Coming(card::download(&tensor)?)));
        }
        Ok(Self(Way::Arrived(tensor.flatten_all()?.to_vec1()?)))
    }

    /// The numbers, if nobody has to wait for them.
    pub fn arrived(&self) -> Option<&[f32]> {
        match &self.0 {
            Way::Arrived(values) => Some(values),
            #[cfg(feature = "cuda")]
            Way::Coming(_) => None,
        }
    }

    /// Waits until they have arrived, but for nothing that was asked of the card later.
    ///
    /// # Errors
    ///
    /// If work on the card has failed.
    pub fn finish(self) -> Result<Vec<f32>> {
        match self.0 {
            Way::Arrived(values) => Ok(values),
            #[cfg(feature = "cuda")]
            Way::Coming(download) => download.finish(),
        }
    }
}
