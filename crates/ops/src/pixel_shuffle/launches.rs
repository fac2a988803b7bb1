//! What a card is asked to do: the launches of `pixel_shuffle.cu`.

use candle_core::Result;

use super::Dims;
use crate::cuda::{
    Argument::{self, Read, Write},
    Buffer, Launch, Program, Source,
};

const SOURCE: Source = Source {
    name: "pixel_shuffle",
    text: include_str!("pixel_shuffle.cu"),
    architecture: None,
    kernels: &["pixel_shuffle", "pixel_unshuffle"],
};

/// Returns the program of Eq. (1): input `[B, h, w, f² C]`, output `[B, f h, f w, C]`.
///
/// # Errors
///
/// If a row or the channels of a pixel are more than a kernel counts.
pub(super) fn shuffle(dims: Dims) -> Result<Program> {
    program("pixel_shuffle", dims)
}

/// Returns the program of the inverse.
///
/// # Errors
///
/// As [`shuffle`].
pub(super) fn unshuffle(dims: Dims) -> Result<Program> {
    program("pixel_unshuffle", dims)
}

fn program(kernel: &'static str, dims: Dims) -> Result<Program> {
    let pixels = dims.batch * dims.height * dims.width;
    let mut program = Program::new(SOURCE);
    let input = program.buffer(Buffer::Input);
    let out = program.buffer(Buffer::Output(pixels * dims.depth()));
    let mut arguments = vec![Write(out), Read(input)];
    for size in [dims.width, dims.channels, dims.factor] {
        arguments.push(Argument::count(size)?);
    }
    let grid = if dims.depth() == 0 { [0; 3] } else { [pixels, 1, 1] };
    program.launch(Launch { kernel, grid, threads: Program::THREADS, arguments });
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::{
        runners::runners,
        testing::{Numbers, floats},
    };
    use crate::pixel_shuffle;

    #[test]
    fn moves_every_element_as_the_cpu_twin_and_back() {
        for [batch, height, width, channels, factor] in
            [[1, 1, 1, 1, 1], [2, 2, 3, 5, 2], [1, 3, 2, 2, 3], [2, 2, 2, 6, 8]]
        {
            let dims = Dims { batch, height, width, channels, factor };
            let coarse = Numbers::random((batch, height, width, dims.depth()), 1);
            let fine = pixel_shuffle(&coarse.narrow, factor).unwrap();
            for runner in runners() {
                let there = runner.run(&shuffle(dims).unwrap(), &[&coarse.values]);
                assert_eq!(there, [floats(&fine)], "{runner:?} {dims:?}");
                let back = runner.run(&unshuffle(dims).unwrap(), &[&there[0]]);
                assert_eq!(back, [&coarse.values[..]], "{runner:?} {dims:?}");
            }
        }
    }
}
