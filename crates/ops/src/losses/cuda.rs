//! Runs the launches on a card.

use candle_core::{Result, Shape, Tensor, bail};

use super::launches;
use crate::cuda::card;

/// Returns Dice and cross-entropy, `[2]`, and what [`segmentation_gradient`] wants to know of the batch.
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
pub fn segmentation(logits: &Tensor, labels: &[u8]) -> Result<[Tensor; 2]> {
    let classes = classes_of(logits, labels)?;
    let program = launches::segmentation(labels, classes)?;
    let shapes = [&Shape::from(2), &Shape::from((3, classes))];
    // SAFETY: there are as many labels as pixels, each below `C`; the launches run between guards
    // in their tests.
    unsafe { card::tensors("segmentation_losses", &program, &[&logits.contiguous()?], shapes) }
}

/// Returns the gradient of `incoming · [dice, cross_entropy]` with respect to the logits.
///
/// # Shapes
///
/// - `logits`, `labels`, `slopes`: what [`segmentation`] was given and what it returned
/// - `incoming`: `[2]` on the card
/// - result: as the logits, carries no gradient itself
///
/// # Errors
///
/// Those of [`segmentation`], and if `slopes` or `incoming` are of another shape.
pub fn segmentation_gradient(
    logits: &Tensor,
    labels: &[u8],
    slopes: &Tensor,
    incoming: &Tensor,
) -> Result<Tensor> {
    let classes = classes_of(logits, labels)?;
    expect_shapes([(slopes, &[3, classes]), (incoming, &[2])])?;
    let program = launches::segmentation_gradient(labels, classes)?;
    let inputs = [&logits.contiguous()?, &slopes.contiguous()?, &incoming.contiguous()?];
    // SAFETY: as above, and the other two have the shapes that the launch reads.
    let [gradient] =
        unsafe { card::tensors("segmentation_losses", &program, &inputs, [logits.shape()])? };
    Ok(gradient)
}

/// Returns the mean logits of every class and, in the last column, its pixels: `[C, C + 1]`.
///
/// # Shapes
///
/// Those of [`segmentation`].
///
/// # Errors
///
/// Those of [`segmentation`].
pub fn class_means(logits: &Tensor, labels: &[u8]) -> Result<Tensor> {
    let classes = classes_of(logits, labels)?;
    let program = launches::class_means(labels, classes)?;
    let shape = Shape::from((classes, classes + 1));
    // SAFETY: as in `segmentation`.
    let [means] =
        unsafe { card::tensors("class_means", &program, &[&logits.contiguous()?], [&shape])? };
    Ok(means)
}

/// Returns the gradient of [`class_means`] with respect to the logits.
///
/// # Shapes
///
/// - `incoming` (its last column has no part), `means`: `[C, C + 1]`
/// - result: as the logits, carries no gradient itself
///
/// # Errors
///
/// Those of [`segmentation`], and if `incoming` or `means` are of another shape.
pub fn class_means_gradient(
    logits: &Tensor,
    labels: &[u8],
    means: &Tensor,
    incoming: &Tensor,
) -> Result<Tensor> {
    let classes = classes_of(logits, labels)?;
    expect_shapes([(means, &[classes, classes + 1]), (incoming, &[classes, classes + 1])])?;
    let program = launches::class_means_gradient(labels, classes)?;
    let inputs = [&incoming.contiguous()?, &means.contiguous()?];
    // SAFETY: both have the shape that the launch reads, and labels are below `C`.
    let [gradient] = unsafe { card::tensors("class_means", &program, &inputs, [logits.shape()])? };
    Ok(gradient)
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

fn expect_shapes(tensors: [(&Tensor, &[usize]); 2]) -> Result<()> {
    for (tensor, expected) in tensors {
        if tensor.dims() != expected {
            bail!("losses: got shape {:?}, expected {expected:?}", tensor.dims());
        }
    }
    Ok(())
}
