//! One pass over the pixels, each adding its logits to the row of its class.

use candle_core::WithDType;
use rayon::prelude::*;

use super::COUNT_EPSILON;
use crate::losses::CHUNK;

/// Mean logits and pixel count of every class, `[C, C + 1]`, from logits `[n, C]` and labels `[n]`.
pub(super) fn class_means<T: WithDType>(logits: &[T], labels: &[u8], classes: usize) -> Vec<f64> {
    let columns = classes + 1;
    let of_chunk = |(logits, labels): (&[T], &[u8])| {
        let mut sums = vec![0.0; classes * columns];
        for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
            let row = &mut sums[usize::from(label) * columns..][..columns];
            row.iter_mut().zip(logits).for_each(|(sum, z)| *sum += z.to_f64());
            row[classes] += 1.0;
        }
        sums
    };
    let chunks = logits.par_chunks(CHUNK * classes).zip(labels.par_chunks(CHUNK));
    let parts: Vec<Vec<f64>> = chunks.map(of_chunk).collect();

    let mut means = vec![0.0; classes * columns];
    for part in &parts {
        means.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    for row in means.chunks_exact_mut(columns) {
        let pixels = row[classes] + COUNT_EPSILON;
        row[..classes].iter_mut().for_each(|sum| *sum /= pixels);
    }
    means
}
