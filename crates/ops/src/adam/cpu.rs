//! Eq. (1), element by element.

use candle_core::WithDType;
use rayon::prelude::*;

use super::Constants;

/// Elements per task.
const TASK: usize = 1 << 14;

/// A number with a square root.
pub(super) trait Real: WithDType {
    fn root(self) -> Self;
}

impl Real for f32 {
    fn root(self) -> Self {
        self.sqrt()
    }
}

impl Real for f64 {
    fn root(self) -> Self {
        self.sqrt()
    }
}

/// Updates `[weights, mean, mean of squares]` of one variable.
pub(super) fn step<T: Real>(gradient: &[T], state: [&mut [T]; 3], constants: Constants) {
    let [weights, mean, square] = state;
    weights
        .par_chunks_mut(TASK)
        .zip(mean.par_chunks_mut(TASK))
        .zip(square.par_chunks_mut(TASK))
        .zip(gradient.par_chunks(TASK))
        .for_each(|(((weights, mean), square), gradient)| {
            step_chunk(gradient, [weights, mean, square], constants);
        });
}

fn step_chunk<T: Real>(gradient: &[T], [weights, mean, square]: [&mut [T]; 3], c: Constants) {
    let [beta1, beta2, epsilon, l2] = [c.beta1, c.beta2, c.epsilon, c.l2].map(T::from_f64);
    let [fresh1, fresh2] = [1.0 - c.beta1, 1.0 - c.beta2].map(T::from_f64);
    let [step_size, root_scale] = [c.step_size, c.root_scale].map(T::from_f64);
    let state = weights.iter_mut().zip(mean).zip(square);
    for (((w, m), v), &g) in state.zip(gradient) {
        let g = g + l2 * *w;
        *m = beta1 * *m + fresh1 * g;
        *v = beta2 * *v + fresh2 * g * g;
        *w -= step_size * *m / (v.root() * root_scale + epsilon);
    }
}
