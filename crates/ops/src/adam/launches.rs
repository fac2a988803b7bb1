//! What a card is asked to do: the launch of `adam.cu`, one for all variables.

use candle_core::Result;

use super::Constants;
use crate::cuda::{
    Argument::{self, Float, Read},
    Buffer, Launch, Program, Source,
};

const SOURCE: Source = Source {
    name: "adam",
    text: include_str!("adam.cu"),
    architecture: None,
    kernels: &["adam_update"],
};

/// Elements of a block.
const CHUNK: u16 = 4096;

/// Returns the program that moves variables of these `lengths`, each with its own `l2`; the L2 of
/// `constants` is not used.
///
/// # Shapes
///
/// - inputs: the loss, `[1]`; per variable weights, mean and mean of squares, all three updated, and the gradient
///
/// # Errors
///
/// If a variable has more elements than a kernel counts.
#[expect(clippy::cast_possible_truncation, reason = "constants of numbers of type f32")]
pub(super) fn update(lengths: &[usize], l2: &[f64], constants: Constants) -> Result<Program> {
    let mut program = Program::new(SOURCE);
    let loss = program.buffer(Buffer::Input);
    let mut tables: [Vec<usize>; 4] = Default::default();
    let mut chunks = Vec::new();
    for (variable, &length) in (0..).zip(lengths) {
        for (of, table) in tables.iter_mut().enumerate() {
            table.push(program.buffer(if of < 3 { Buffer::Updated } else { Buffer::Input }));
        }
        let Argument::Int(count) = Argument::count(length)? else { unreachable!("a count is one") };
        let begins = (0..count).step_by(CHUNK.into());
        let chunk = |begin: i32| [variable, begin, count.min(begin.saturating_add(CHUNK.into()))];
        chunks.extend(begins.flat_map(chunk));
    }
    let blocks = chunks.len() / 3;
    let mut arguments = Vec::new();
    for table in tables {
        arguments.push(Read(program.buffer(Buffer::Addresses(table))));
    }
    arguments.push(Read(loss));
    let decays = l2.iter().map(|&l2| l2 as f32).collect();
    for table in [Buffer::Ints(chunks), Buffer::Floats(decays)] {
        arguments.push(Read(program.buffer(table)));
    }
    let Constants { beta1, beta2, epsilon, step_size, root_scale, .. } = constants;
    let constants = [beta1, beta2, 1.0 - beta1, 1.0 - beta2, epsilon, step_size, root_scale];
    arguments.extend(constants.map(|constant| Float(constant as f32)));
    let (grid, threads) = ([blocks, 1, 1], Program::THREADS);
    program.launch(Launch { kernel: "adam_update", grid, threads, arguments });
    Ok(program)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::cuda::{
        runners::runners,
        testing::{Numbers, assert_close},
    };
    use crate::{AdamOptions, adam_update};

    const RATE: f64 = 0.01;

    #[test]
    fn several_steps_of_many_variables_are_those_of_the_reference() {
        let lengths = [1, 4096, 4097, 300, 9000];
        let l2 = [0.0, 0.01, 0.0, 0.1, 0.01];
        let start: Vec<_> = (1..).zip(lengths).map(|(i, n)| Numbers::random(n, i)).collect();
        for runner in runners() {
            let zero = |&length: &usize| vec![0f32; length];
            let mut state: Vec<[Vec<f32>; 3]> = lengths
                .iter()
                .zip(&start)
                .map(|(length, start)| [start.values.clone(), zero(length), zero(length)])
                .collect();
            let variables: Vec<[Var; 3]> = start.iter().map(reference_state).collect();
            for step in 1..4 {
                let gradients: Vec<_> = (1..)
                    .zip(lengths)
                    .map(|(i, length)| Numbers::random(length, 10 * step + i))
                    .collect();
                let constants = Constants::new(RATE, 0.0, step, AdamOptions::default());
                let program = update(&lengths, &l2, constants).unwrap();
                let of_variables = state
                    .iter()
                    .zip(&gradients)
                    .flat_map(|([w, m, v], g)| [&w[..], m, v, &g.values]);
                let inputs: Vec<&[f32]> = [&[0.5f32][..]].into_iter().chain(of_variables).collect();
                let mut outputs = runner.run(&program, &inputs).into_iter();
                for of_variable in &mut state {
                    *of_variable = [0; 3].map(|_| outputs.next().unwrap());
                }
                for (([w, m, v], gradient), &l2) in variables.iter().zip(&gradients).zip(&l2) {
                    let options = AdamOptions::default();
                    adam_update(w, &gradient.wide, (m, v), RATE, l2, step, options).unwrap();
                }
            }
            for (actual, expected) in state.iter().flatten().zip(variables.iter().flatten()) {
                assert_close(&format!("{runner:?}"), actual, expected, 1e-6);
            }
        }
    }

    #[test]
    fn nothing_moves_when_the_loss_is_not_finite() {
        let constants = Constants::new(RATE, 0.0, 1, AdamOptions::default());
        let program = update(&[3], &[0.0], constants).unwrap();
        let start = [[1f32, 2.0, 3.0], [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]];
        for runner in runners() {
            for loss in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let [w, m, v] = &start;
                let after = runner.run(&program, &[&[loss], w, m, v, &[1.0; 3]]);
                assert_eq!(after, start.map(Vec::from), "{runner:?} {loss}");
            }
        }
    }

    fn reference_state(start: &Numbers) -> [Var; 3] {
        let zero = || Var::zeros(start.wide.shape(), DType::F64, &Device::Cpu).unwrap();
        [Var::from_tensor(&start.wide).unwrap(), zero(), zero()]
    }
}
