//! What a card is asked to do: the tables and launches of `class_affinity.cu`, and on tensor cores of
//! `tensor_cores.cu`.
//!
//! Pure host code, shared by the card (`card.rs`) and the emulator of the tests. Only the regions'
//! tables go up, a few integers per pixel; nothing comes back, so the host never waits.

use candle_core::{Result, bail};
use duomo_ops::cuda::{
    Argument::{self, Int, Read, Write},
    Buffer, Launch, Precision, Program, Source,
};

use crate::regions::{Block, Regions};

#[cfg(test)]
mod tests;

/// The kernels; their names and parameters are those of the file.
pub(super) const SOURCE: Source = Source {
    name: "class_affinity",
    text: include_str!("class_affinity.cu"),
    architecture: None,
    kernels: &[
        "class_affinity_products",
        "class_affinity_norms",
        "class_affinity_cosines",
        "class_affinity_gradient",
    ],
};

/// The same, and those on tensor cores.
pub(super) const ON_TENSOR_CORES: Source = Source {
    name: "class_affinity_on_tensor_cores",
    text: concat!(include_str!("class_affinity.cu"), include_str!("tensor_cores.cu")),
    architecture: Some("compute_80"),
    kernels: &[
        "class_affinity_products_tf32",
        "class_affinity_products_bf16",
        "class_affinity_norms",
        "class_affinity_cosines",
        "class_affinity_gradient_tf32",
        "class_affinity_gradient_bf16",
    ],
};

/// The kernels that multiply in this precision, forward and backward, and their source.
fn kernels(precision: Precision) -> (Source, [&'static str; 2]) {
    match precision {
        Precision::F32 => (SOURCE, ["class_affinity_products", "class_affinity_gradient"]),
        Precision::Tf32 => {
            (ON_TENSOR_CORES, ["class_affinity_products_tf32", "class_affinity_gradient_tf32"])
        }
        Precision::Bf16 => {
            (ON_TENSOR_CORES, ["class_affinity_products_bf16", "class_affinity_gradient_bf16"])
        }
    }
}

/// Threads of a block, in every kernel of both files.
const THREADS: usize = 128;

/// Rows and columns of the sums that a block computes; also its pixels in the backward pass.
const TILE: usize = 64;

/// Pixels that one block of the forward pass runs over: enough to outweigh the writing of its sums,
/// few enough that the largest class, most of the batch, does not keep one block busy alone.
const SEGMENT: usize = 512;

/// Channels of both maps, `[M, N]`.
pub(super) type Channels = [usize; 2];

/// Returns the program of Eqs. (2) and (3).
///
/// # Shapes
///
/// - inputs: features l `[pixels, M]`, features k `[pixels, N]`
/// - outputs: affinity `[C, M, N]`, inverse norms `[R, M]` and `[R, N]`, and, where a class has
///   several regions, each region's own share of the affinity, `[R, M, N]`
///
/// # Errors
///
/// If a count does not fit the 32 bits of the kernels' integers, or there are more regions or
/// segments than a grid has blocks.
pub(super) fn forward(
    regions: &Regions,
    [m, n]: Channels,
    precision: Precision,
) -> Result<Program> {
    let segments = regions.blocks(SEGMENT);
    let tables = check(regions, segments.len(), [m, n])?;
    let (source, [multiply, _]) = kernels(precision);
    let mut program = Program::new(source);
    let features = [0, 1].map(|_| program.buffer(Buffer::Input));
    let order = program.buffer(Buffer::Ints(tables.order));
    let places = program.buffer(Buffer::Ints(of_segments(&segments)));
    let bounds = program.buffer(Buffer::Ints(starts(&segments, regions.list.len(), |s| s.region)));
    let products = program.buffer(Buffer::Scratch(segments.len() * m * n));
    let squares = [m, n].map(|c| program.buffer(Buffer::Scratch(segments.len() * c)));
    let affinity = program.buffer(Buffer::Output(regions.classes * m * n));
    let inverse = [m, n].map(|c| program.buffer(Buffer::Output(regions.list.len() * c)));

    let mut arguments = vec![Write(products), Write(squares[0]), Write(squares[1])];
    arguments.extend([Read(features[0]), Read(features[1]), Read(order), Read(places)]);
    arguments.extend([int(m), int(n)]);
    let grid = [n.div_ceil(TILE), m.div_ceil(TILE), segments.len()];
    program.launch(launch(multiply, grid, arguments));
    for (side, channels) in [m, n].into_iter().enumerate() {
        let arguments =
            vec![Write(inverse[side]), Read(squares[side]), Read(bounds), int(channels)];
        let grid = [channels.div_ceil(THREADS), regions.list.len(), 1];
        program.launch(launch("class_affinity_norms", grid, arguments));
    }

    let keep = has_shares(regions);
    let shares = if keep { Buffer::Output(regions.list.len() * m * n) } else { Buffer::Scratch(1) };
    let shares = program.buffer(shares);
    let weights = program.buffer(Buffer::Floats(tables.weights));
    let classes = starts(&regions.list, regions.classes, |region| region.class);
    let classes = program.buffer(Buffer::Ints(classes));
    let mut arguments = vec![Write(affinity), Write(shares), Read(products)];
    arguments.extend([Read(inverse[0]), Read(inverse[1]), Read(weights), Read(classes)]);
    arguments.extend([Read(bounds), int(m), int(n), int(usize::from(keep))]);
    let grid = [(m * n).div_ceil(THREADS), regions.classes, 1];
    program.launch(launch("class_affinity_cosines", grid, arguments));
    Ok(program)
}

/// Returns the program of the gradient with respect to the maps that `wanted` names, l and k.
///
/// # Shapes
///
/// - inputs: features l `[pixels, M]` and k `[pixels, N]`, inverse norms `[R, M]` and `[R, N]`,
///   gradient `[C, M, N]`, and the cosines: regions' shares where [`forward`] returned them, else
///   the affinity
/// - outputs: one gradient, shaped as its map, per `true`
///
/// # Errors
///
/// As [`forward`].
pub(super) fn backward(
    regions: &Regions,
    [m, n]: Channels,
    precision: Precision,
    wanted: [bool; 2],
) -> Result<Program> {
    let tiles = regions.blocks(TILE);
    let tables = check(regions, 0, [m, n])?;
    let (source, [_, differentiate]) = kernels(precision);
    let mut program = Program::new(source);
    let features = [0, 1].map(|_| program.buffer(Buffer::Input));
    let inverse = [0, 1].map(|_| program.buffer(Buffer::Input));
    let [gradient, cosines] = [0, 1].map(|_| program.buffer(Buffer::Input));
    let weights = program.buffer(Buffer::Floats(tables.weights));
    let order = program.buffer(Buffer::Ints(tables.order));
    let places = program.buffer(Buffer::Ints(of_tiles(&tiles, regions)));
    // G is [M, N] for every class: a step in M is a stride of N, a step in N one of 1.
    let channels = [(m, n), (n, 1)];
    for side in [0, 1].into_iter().filter(|&side| wanted[side]) {
        let ((own, own_stride), (across, across_stride)) = (channels[side], channels[1 - side]);
        // The kernel leaves pixels outside every class as they are.
        let all = regions.order.len() == regions.pixels;
        let size = regions.pixels * own;
        let out = program.buffer(if all { Buffer::Output(size) } else { Buffer::Zeros(size) });
        let mut arguments = vec![Write(out), Read(features[side]), Read(features[1 - side])];
        arguments.extend([Read(inverse[side]), Read(inverse[1 - side]), Read(gradient)]);
        arguments.extend([Read(cosines), Read(weights), Read(order), Read(places)]);
        arguments.extend([own, across, own_stride, across_stride].map(int));
        let grid = [tiles.len(), own.div_ceil(TILE), 1];
        program.launch(launch(differentiate, grid, arguments));
    }
    Ok(program)
}

/// Whether a class has several regions: its affinity then no longer holds each one's cosines.
pub(super) fn has_shares(regions: &Regions) -> bool {
    regions.list.windows(2).any(|pair| pair[0].class == pair[1].class)
}

fn launch(kernel: &'static str, grid: [usize; 3], arguments: Vec<Argument>) -> Launch {
    Launch { kernel, grid, threads: THREADS, arguments }
}

/// Tables that both passes hand up.
struct Tables {
    order: Vec<i32>,
    weights: Vec<f32>,
}

fn check(regions: &Regions, segments: usize, [m, n]: Channels) -> Result<Tables> {
    const BLOCKS: usize = 65_535;
    let pixels = regions.pixels;
    if [pixels, m * n].iter().any(|&count| i32::try_from(count).is_err())
        || segments.max(regions.list.len()).max(regions.classes) > BLOCKS
    {
        bail!(
            "class_affinity: {pixels} pixels in {} regions with {m} and {n} channels are more than \
             one launch takes; give a smaller batch",
            regions.list.len()
        );
    }
    #[expect(clippy::cast_possible_truncation, reason = "weights are numbers near 1, kept in f32")]
    let weights = regions.list.iter().map(|region| region.weight as f32).collect();
    Ok(Tables { order: regions.order.iter().map(|&pixel| small(pixel)).collect(), weights })
}

/// `[S, 3]`: region, first place, place behind the last.
fn of_segments(segments: &[Block]) -> Vec<i32> {
    let row = |block: &Block| [block.region, block.rows.start, block.rows.end].map(small);
    segments.iter().flat_map(row).collect()
}

/// `[T, 5]`: region, first place, place behind the last, class, which matrix holds its cosines.
fn of_tiles(tiles: &[Block], regions: &Regions) -> Vec<i32> {
    let shares = has_shares(regions);
    let row = |block: &Block| {
        let class = regions.list[block.region].class;
        let matrix = if shares { block.region } else { class };
        [block.region, block.rows.start, block.rows.end, class, matrix].map(small)
    };
    tiles.iter().flat_map(row).collect()
}

/// `[groups + 1]`: where each group's items begin in a list that is sorted by group.
fn starts<T>(items: &[T], groups: usize, group: impl Fn(&T) -> usize) -> Vec<i32> {
    (0..=groups).map(|of| small(items.partition_point(|item| group(item) < of))).collect()
}

fn int(value: usize) -> Argument {
    Int(small(value))
}

/// A count that [`check`] has found to fit, or that is smaller than one which does.
fn small(value: usize) -> i32 {
    i32::try_from(value).expect("counts were checked against the kernels' integers")
}
