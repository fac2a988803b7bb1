//! Adds pixel by pixel.

use candle_core::WithDType;
use rayon::prelude::*;

use super::Channels;

/// Pixels per task.
const TASK: usize = 1024;

pub(super) fn add<T: WithDType>(main: &[T], skip: &[T], channels: Channels) -> Vec<T> {
    let mut output = vec![T::zero(); main.len()];
    if channels.skip == 0 {
        output.copy_from_slice(main);
        return output;
    }
    let tasks = main.par_chunks(TASK * channels.main).zip(skip.par_chunks(TASK * channels.skip));
    output.par_chunks_mut(TASK * channels.main).zip(tasks).for_each(|(output, (main, skip))| {
        output.copy_from_slice(main);
        let pixels = output.chunks_exact_mut(channels.main);
        for (pixel, skip) in pixels.zip(skip.chunks_exact(channels.skip)) {
            let middle = &mut pixel[channels.before()..][..channels.skip];
            middle.iter_mut().zip(skip).for_each(|(y, &s)| *y += s);
        }
    });
    output
}
