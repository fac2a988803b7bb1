//! What a card is asked to do: the launches of `max_pool2.cu`.

use candle_core::Result;

use super::Dims;
use crate::cuda::{
    Argument::{self, Read, Write},
    Buffer, Program, Source,
};

const SOURCE: Source = Source {
    name: "max_pool2",
    text: include_str!("max_pool2.cu"),
    architecture: None,
    kernels: &["max_pool2", "max_pool2_gradient"],
};

/// Returns the program of the maxima: input `[B, H, W, C]`, output `[B, H / 2, W / 2, C]`.
///
/// # Errors
///
/// If the elements are more than a kernel counts.
pub(super) fn forward(dims: Dims) -> Result<Program> {
    let outputs = dims.output_shape().elem_count();
    let mut program = Program::new(SOURCE);
    let [input, out] = [Buffer::Input, Buffer::Output(outputs)].map(|b| program.buffer(b));
    let mut arguments = vec![Write(out), Read(input)];
    arguments.extend(sizes(dims, outputs)?);
    program.launch_items("max_pool2", outputs, arguments);
    Ok(program)
}

/// Returns the program of the gradient: inputs `[B, H, W, C]` and, with respect to the output,
/// `[B, H / 2, W / 2, C]`; output as the first.
///
/// # Errors
///
/// As [`forward`].
pub(super) fn backward(dims: Dims) -> Result<Program> {
    let Dims { batch, height, width, channels } = dims;
    let windows = batch * height.div_ceil(2) * width.div_ceil(2) * channels;
    let mut program = Program::new(SOURCE);
    let input = program.buffer(Buffer::Input);
    let gradient = program.buffer(Buffer::Input);
    let out = program.buffer(Buffer::Output(batch * height * width * channels));
    let mut arguments = vec![Write(out), Read(input), Read(gradient)];
    arguments.extend(sizes(dims, windows)?);
    program.launch_items("max_pool2_gradient", windows, arguments);
    Ok(program)
}

fn sizes(dims: Dims, threads: usize) -> Result<Vec<Argument>> {
    [dims.height, dims.width, dims.channels, threads].into_iter().map(Argument::count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::{
        runners::runners,
        testing::{Numbers, floats},
    };
    use crate::{max_pool2, max_pool2_gradient};

    #[test]
    fn maxima_and_gradients_are_those_of_the_cpu_twin() {
        for shape in [[1, 1, 1, 1], [2, 4, 6, 3], [1, 5, 7, 4], [2, 9, 8, 17], [1, 2, 1, 2]] {
            let dims = Dims::new(&shape).unwrap();
            let input = Numbers::random(&shape[..], 1);
            let gradient = Numbers::random(dims.output_shape(), 2);
            let expected = max_pool2(&input.narrow).unwrap();
            let expected_gradient = max_pool2_gradient(&input.narrow, &gradient.narrow).unwrap();
            for runner in runners().into_iter().filter(|_| !gradient.values.is_empty()) {
                let [maxima] = &runner.run(&forward(dims).unwrap(), &[&input.values])[..] else {
                    panic!("one output")
                };
                assert_eq!(maxima, &floats(&expected), "{runner:?} {shape:?}");
            }
            for runner in runners() {
                let inputs = [&input.values[..], &gradient.values];
                let by_input = runner.run(&backward(dims).unwrap(), &inputs);
                assert_eq!(by_input, [floats(&expected_gradient)], "{runner:?} {shape:?}");
            }
        }
    }

    #[test]
    fn of_equal_values_the_first_wins_and_a_nan_before_all() {
        let dims = Dims::new(&[1, 2, 2, 2]).unwrap();
        for runner in runners() {
            // Channel 0 holds four equal values, channel 1 a NaN in its third place.
            let input = [1.0, 0.0, 1.0, 5.0, 1.0, f32::NAN, 1.0, 9.0];
            let maxima = runner.run(&forward(dims).unwrap(), &[&input]).remove(0);
            assert!(maxima[..1] == [1.0] && maxima[1].is_nan(), "{runner:?} {maxima:?}");
            let gradient = runner.run(&backward(dims).unwrap(), &[&input, &[3.0, 4.0]]);
            assert_eq!(gradient, [[3.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0]], "{runner:?}");
        }
    }
}
