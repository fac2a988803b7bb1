//! The losses with their gradients, as candle's autograd wants them.

use candle_core::{Result, Shape, Tensor, bail};

use super::launches;
use crate::cuda;

/// Returns Dice and cross-entropy, `[2]`, differentiable in the logits.
///
/// Labels stay on the CPU, where they are checked, and go up with the launches.
///
/// # Shapes
///
/// - `logits`: `[…, C]`, `f32` on a card
/// - `labels`: a class index for each pixel of the logits
///
/// # Errors
///
/// If there is not one label per pixel, a label is not below `C`, or the logits are not `f32` on a card.
pub fn segmentation(logits: &Tensor, labels: &[u8]) -> Result<Tensor> {
    const NAME: &str = "segmentation_losses";
    let classes = classes_of(logits, labels)?;
    let logits = logits.contiguous()?;
    let program = launches::segmentation(labels, classes)?;
    let shapes = [&Shape::from(2), &Shape::from((3, classes))];
    // SAFETY: there are as many labels as pixels, each below `C`; the launches run between guards
    // in their tests.
    let [losses, slopes] = unsafe { cuda::tensors(NAME, &program, &[&logits.detach()], shapes)? };
    let labels = labels.to_vec();
    cuda::function_of(NAME, &logits, losses, move |logits, incoming| {
        let program = launches::segmentation_gradient(&labels, classes)?;
        let inputs = [logits, &slopes, incoming];
        // SAFETY: as above, and the other two have the shapes that the launch reads.
        let [gradient] = unsafe { cuda::tensors(NAME, &program, &inputs, [logits.shape()])? };
        Ok(gradient)
    })
}

/// Returns the mean logits of every class and, in the last column, its pixels: `[C, C + 1]`, differentiable
/// in the logits.
///
/// # Shapes
///
/// Those of [`segmentation`].
///
/// # Errors
///
/// Those of [`segmentation`].
pub fn class_means(logits: &Tensor, labels: &[u8]) -> Result<Tensor> {
    const NAME: &str = "class_means";
    let classes = classes_of(logits, labels)?;
    let logits = logits.contiguous()?;
    let program = launches::class_means(labels, classes)?;
    let shape = Shape::from((classes, classes + 1));
    // SAFETY: as in `segmentation`.
    let [means] = unsafe { cuda::tensors(NAME, &program, &[&logits.detach()], [&shape])? };
    let (labels, known) = (labels.to_vec(), means.clone());
    cuda::function_of(NAME, &logits, means, move |logits, incoming| {
        let program = launches::class_means_gradient(&labels, classes)?;
        let inputs = [incoming, &known];
        // SAFETY: both have the shape that the launch reads, and labels are below `C`.
        let [gradient] = unsafe { cuda::tensors(NAME, &program, &inputs, [logits.shape()])? };
        Ok(gradient)
    })
}

fn classes_of(logits: &Tensor, labels: &[u8]) -> Result<usize> {
    match *logits.dims() {
        [.., classes] if logits.elem_count() == labels.len() * classes && classes > 0 => {
            Ok(classes)
        }
        _ => bail!(
            "losses: got {} labels for logits of shape {:?}, expected one per pixel",
            labels.len(),
            logits.dims()
        ),
    }
}
