//! What a card is asked to do: the launch of `add_skip.cu`.

use candle_core::Result;

use super::Channels;
use crate::cuda::{
    Argument::{self, Read, Write},
    Buffer, Program, Source,
};

const SOURCE: Source = Source {
    name: "add_skip",
    text: include_str!("add_skip.cu"),
    architecture: None,
    kernels: &["add_skip"],
};

/// Returns the program of Eq. (1): inputs `[pixels, C2]` and `[pixels, C1]`, output as the first.
///
/// # Errors
///
/// If the elements are more than a kernel counts.
pub(super) fn add(pixels: usize, channels: Channels) -> Result<Program> {
    let length = pixels * channels.main;
    let mut program = Program::new(SOURCE);
    let [main, skip] = [0, 1].map(|_| program.buffer(Buffer::Input));
    let out = program.buffer(Buffer::Output(length));
    let mut arguments = vec![Write(out), Read(main), Read(skip)];
    for size in [channels.main, channels.skip, channels.before(), length] {
        arguments.push(Argument::count(size)?);
    }
    program.launch_items("add_skip", length, arguments);
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::add_skip;
    use crate::cuda::{
        runners::runners,
        testing::{Numbers, floats},
    };

    #[test]
    fn sums_are_those_of_the_cpu_twin() {
        for (height, main, skip) in [(1, 1, 1), (7, 4, 2), (9, 5, 2), (30, 16, 16), (4, 3, 1)] {
            let channels = Channels { main, skip };
            let pixels = height * 3;
            let [m, s] = [main, skip].map(|c| Numbers::random((1, height, 3, c), c as u64));
            let expected = add_skip(&m.narrow, &s.narrow).unwrap();
            for runner in runners() {
                let program = add(pixels, channels).unwrap();
                let sum = runner.run(&program, &[&m.values, &s.values]);
                assert_eq!(sum, [floats(&expected)], "{runner:?} {channels:?}");
            }
        }
    }
}
