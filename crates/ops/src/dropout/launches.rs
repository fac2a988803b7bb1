//! What a card is asked to do: the launch of `dropout.cu`.

use candle_core::Result;

use super::Dropout;
use crate::cuda::{
    Argument::{self, Float, Int, Long, Read, Write},
    Buffer, Launch, Program, Source,
};

const SOURCE: Source = Source {
    name: "dropout",
    text: include_str!("dropout.cu"),
    architecture: None,
    kernels: &["dropout"],
};

/// Elements that share one draw.
const ELEMENTS: usize = 4;

/// Returns the program of Eq. (1); its input and its output have `length` elements.
///
/// # Errors
///
/// If the elements are more than a kernel counts.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the scale multiplies numbers of type f32, and the threshold is at most 2¹⁶"
)]
pub(super) fn mask(length: usize, Dropout { probability, seed }: Dropout) -> Result<Program> {
    let threshold = (probability * 65536.0).round() as i32;
    let scale = (1.0 / (1.0 - probability)) as f32;
    let mut program = Program::new(SOURCE);
    let [input, out] = [Buffer::Input, Buffer::Output(length)].map(|b| program.buffer(b));
    let mut arguments = vec![Write(out), Read(input), Long(seed), Int(threshold), Float(scale)];
    arguments.push(Argument::count(length)?);
    let threads = Program::THREADS;
    let grid = [length.div_ceil(ELEMENTS * threads), 1, 1];
    program.launch(Launch { kernel: "dropout", grid, threads, arguments });
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::{runners::runners, testing::Numbers};
    use crate::dropout::{dropout, split_mix};

    #[test]
    fn the_mask_has_the_bits_of_the_cpu_twin() {
        // A probability at which the first element's bits are the first that are kept.
        let edge = (split_mix(4, 0) & 0xffff) as f64 / 65536.0;
        for (length, probability, seed) in [
            (1, 0.5, 1),
            (1023, 0.25, 2),
            (1024, 0.75, u64::MAX),
            (5001, 0.999, 3 << 40),
            (1, edge, 4),
        ] {
            let input = Numbers::random(length, 1);
            let expected = dropout(&input.narrow, probability, seed).unwrap();
            let program = mask(length, Dropout { probability, seed }).unwrap();
            for runner in runners() {
                let outputs = runner.run(&program, &[&input.values]);
                assert_eq!(outputs, [expected.to_vec1::<f32>().unwrap()], "{runner:?} {length}");
            }
        }
    }
}
