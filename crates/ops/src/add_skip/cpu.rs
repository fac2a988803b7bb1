//! Adds pixel by pixel.

use candle_core::WithDType;

use super::Channels;
use crate::fill::fill;

/// Numbers per task, about.
const TASK: usize = 1 << 15;

pub(super) fn add<T: WithDType>(main: &[T], skip: &[T], channels: Channels) -> Vec<T> {
    if channels.skip == 0 {
        return main.to_vec();
    }
    let pixels = (TASK / channels.main).max(1);
    fill(main.len(), pixels * channels.main, |start, output| {
        output.copy_from_slice(&main[start..][..output.len()]);
        let skip = &skip[start / channels.main * channels.skip..];
        let pixels = output.chunks_exact_mut(channels.main);
        for (pixel, skip) in pixels.zip(skip.chunks_exact(channels.skip)) {
            let middle = &mut pixel[channels.before()..][..channels.skip];
            middle.iter_mut().zip(skip).for_each(|(y, &s)| *y += s);
        }
    })
}
