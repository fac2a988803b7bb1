//! What a card is asked to do: the launches of `losses.cu`.

use candle_core::{Result, bail};

use crate::cuda::{
    Argument::{self, Read, Write},
    Buffer, Launch, Program, Source,
};

pub(super) const SOURCE: Source = Source {
    name: "losses",
    text: include_str!("losses.cu"),
    architecture: None,
    kernels: &[
        "segmentation_totals",
        "sum_of_blocks",
        "segmentation_losses",
        "segmentation_gradient",
        "class_sums",
        "class_means",
        "class_means_gradient",
    ],
};

/// Pixels of a block in the kernels that sum.
const PIXELS: usize = 4 * Program::THREADS;

/// Returns the program of Dice and cross-entropy.
///
/// # Shapes
///
/// - input: logits `[pixels, C]`
/// - outputs: the two losses, and the slopes `[3, C]` that [`segmentation_gradient`] needs
///
/// # Errors
///
/// If a label is not below `classes`, or the elements are more than a kernel counts.
pub(super) fn segmentation(labels: &[u8], classes: usize) -> Result<Program> {
    let mut batch = Batch::new(labels, classes)?;
    let losses = batch.program.buffer(Buffer::Output(2));
    let slopes = batch.program.buffer(Buffer::Output(3 * classes));
    let totals = batch.program.buffer(Buffer::Scratch(4 * classes));
    batch.sum("segmentation_totals", totals, 4 * classes);
    let mut arguments = vec![Write(losses), Write(slopes), Read(totals)];
    arguments.extend(batch.sizes);
    let (kernel, grid) = ("segmentation_losses", [1, 1, 1]);
    batch.program.launch(Launch { kernel, grid, threads: 1, arguments });
    Ok(batch.program)
}

/// Returns the program of the gradient of `incoming · [dice, cross_entropy]`.
///
/// # Shapes
///
/// - inputs: logits `[pixels, C]`, slopes `[3, C]`, the gradients of the two losses
/// - output: as the logits
///
/// # Errors
///
/// As [`segmentation`].
pub(super) fn segmentation_gradient(labels: &[u8], classes: usize) -> Result<Program> {
    let mut batch = Batch::new(labels, classes)?;
    let [slopes, incoming] = [0; 2].map(|_| batch.program.buffer(Buffer::Input));
    let out = batch.program.buffer(Buffer::Output(labels.len() * classes));
    let mut arguments = vec![Write(out), Read(batch.logits), Read(slopes), Read(incoming)];
    arguments.push(Read(batch.labels));
    arguments.extend(batch.sizes);
    batch.program.launch_items("segmentation_gradient", labels.len(), arguments);
    Ok(batch.program)
}

/// Returns the program of the class means.
///
/// # Shapes
///
/// - input: logits `[pixels, C]`
/// - output: the mean logits of every class, and its pixels in the last column, `[C, C + 1]`
///
/// # Errors
///
/// As [`segmentation`].
pub(super) fn class_means(labels: &[u8], classes: usize) -> Result<Program> {
    let mut batch = Batch::new(labels, classes)?;
    let numbers = classes * (classes + 1);
    let means = batch.program.buffer(Buffer::Output(numbers));
    let sums = batch.program.buffer(Buffer::Scratch(numbers));
    batch.sum("class_sums", sums, numbers);
    let mut arguments = vec![Write(means), Read(sums), batch.sizes[0]];
    arguments.push(Argument::count(numbers)?);
    batch.program.launch_items("class_means", numbers, arguments);
    Ok(batch.program)
}

/// Returns the program of the gradient of the class means.
///
/// # Shapes
///
/// - inputs: the gradient of the means and the means, `[C, C + 1]`
/// - output: as the logits, `[pixels, C]`
///
/// # Errors
///
/// As [`segmentation`].
pub(super) fn class_means_gradient(labels: &[u8], classes: usize) -> Result<Program> {
    check(labels, classes)?;
    let length = labels.len() * classes;
    let mut program = Program::new(SOURCE);
    let [incoming, means] = [0; 2].map(|_| program.buffer(Buffer::Input));
    let labels = program.buffer(Buffer::Bytes(labels.to_vec()));
    let out = program.buffer(Buffer::Output(length));
    let mut arguments = vec![Write(out), Read(incoming), Read(means), Read(labels)];
    arguments.extend([Argument::count(classes)?, Argument::count(length)?]);
    program.launch_items("class_means_gradient", length, arguments);
    Ok(program)
}

/// A program with logits and labels as its first buffers.
struct Batch {
    program: Program,
    logits: usize,
    labels: usize,
    pixels: usize,
    /// Classes and pixels.
    sizes: [Argument; 2],
}

impl Batch {
    fn new(labels: &[u8], classes: usize) -> Result<Self> {
        check(labels, classes)?;
        let pixels = labels.len();
        Argument::count(pixels.saturating_mul(classes))?;
        let mut program = Program::new(SOURCE);
        let logits = program.buffer(Buffer::Input);
        let labels = program.buffer(Buffer::Bytes(labels.to_vec()));
        let sizes = [Argument::count(classes)?, Argument::count(pixels)?];
        Ok(Self { program, logits, labels, pixels, sizes })
    }

    /// Sums `numbers` per block by `kernel`, and those over all blocks into `totals`.
    fn sum(&mut self, kernel: &'static str, totals: usize, numbers: usize) {
        let blocks = self.pixels.div_ceil(PIXELS);
        let parts = self.program.buffer(Buffer::Scratch(blocks * numbers));
        let mut arguments = vec![Write(parts), Read(self.logits), Read(self.labels)];
        arguments.extend(self.sizes);
        let (grid, threads) = ([blocks, 1, 1], Program::THREADS);
        self.program.launch(Launch { kernel, grid, threads, arguments });
        let blocks = Argument::count(blocks).expect("fewer than pixels");
        let arguments = vec![Write(totals), Read(parts), blocks];
        let grid = [numbers, 1, 1];
        self.program.launch(Launch { kernel: "sum_of_blocks", grid, threads, arguments });
    }
}

fn check(labels: &[u8], classes: usize) -> Result<()> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(at) => bail!(
            "label {} at pixel {at} of the batch is not a class: the logits have {classes} classes, \
             0 to {}; map labels to class indices first",
            labels[at],
            classes.saturating_sub(1)
        ),
    }
}
