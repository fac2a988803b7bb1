//! Vectors that the tasks which write them also make, chunk by chunk.
//!
//! `vec![0.0; len]` has one thread write zeros to memory that all threads then overwrite. Here every task
//! zeroes its own chunk, right before it writes there: in its cache, and in parallel.

use std::mem::MaybeUninit;

use candle_core::WithDType;
use rayon::prelude::*;

/// Returns `len` numbers that `work` wrote, a chunk at a time, in parallel.
///
/// `work` gets the position of its chunk's first number, and the chunk, which holds zeros. The last
/// chunk may be shorter.
pub(crate) fn fill<T: WithDType>(
    len: usize,
    chunk: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    fill_groups(len, (len, chunk), work)
}

/// Does what [`fill`] does, with no chunk across the end of a group: the last of each may be shorter.
pub(crate) fn fill_groups<T: WithDType>(
    len: usize,
    (group, chunk): (usize, usize),
    work: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    let (group, chunk) = (group.max(1), chunk.max(1));
    let mut numbers = Vec::with_capacity(len);
    numbers.spare_capacity_mut()[..len].par_chunks_mut(group).enumerate().for_each(|(g, spare)| {
        spare.par_chunks_mut(chunk).enumerate().for_each(|(index, spare)| {
            work(g * group + index * chunk, zeroed(spare));
        });
    });
    // SAFETY: there is room for `len` numbers, and the chunks, all of which `zeroed` has written, cover
    // them. If `work` panicked, this line is not reached: the vector is dropped as empty.
    unsafe { numbers.set_len(len) };
    numbers
}

/// Does what [`fill`] does for two vectors, cut alike.
pub(crate) fn fill_pair<T: WithDType, U: WithDType>(
    len: usize,
    chunk: usize,
    work: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) -> (Vec<T>, Vec<U>) {
    let chunk = chunk.max(1);
    let (mut first, mut second) = (Vec::with_capacity(len), Vec::with_capacity(len));
    let of_first = first.spare_capacity_mut()[..len].par_chunks_mut(chunk);
    let of_second = second.spare_capacity_mut()[..len].par_chunks_mut(chunk);
    of_first.zip(of_second).enumerate().for_each(|(index, (first, second))| {
        work(index * chunk, zeroed(first), zeroed(second));
    });
    // SAFETY: as in `fill_groups`, for both.
    unsafe {
        first.set_len(len);
        second.set_len(len);
    }
    (first, second)
}

/// The place as numbers, all zero.
fn zeroed<T: WithDType>(spare: &mut [MaybeUninit<T>]) -> &mut [T] {
    spare.fill(MaybeUninit::new(T::zero()));
    // SAFETY: every number has just been written.
    unsafe { spare.assume_init_mut() }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Lengths, groups and chunks, of which some divide each other and some do not.
    const CUTS: [(usize, usize, usize); 9] = [
        (0, 4, 2),
        (0, 0, 0),
        (1, 1, 1),
        (12, 6, 3),
        (12, 5, 2),
        (7, 100, 100),
        (1000, 77, 10),
        (1001, 1001, 64),
        (3, 0, 0),
    ];

    #[test]
    fn every_number_is_written_at_its_position() {
        for (len, group, chunk) in CUTS {
            let expected: Vec<f64> = (0..len).map(|at| at as f64).collect();
            let count = |start: usize, numbers: &mut [f64]| {
                numbers.iter_mut().zip(start..).for_each(|(number, at)| *number += at as f64);
            };

            assert_eq!(fill(len, chunk, count), expected);
            assert_eq!(fill_groups(len, (group, chunk), count), expected);
        }
    }

    #[test]
    fn what_is_not_written_is_zero() {
        for (len, group, chunk) in CUTS {
            let filled = fill_groups::<f32>(len, (group, chunk), |_, _| ());

            assert_eq!(filled, vec![0.0; len]);
        }
    }

    #[test]
    fn no_chunk_reaches_into_the_next_group() {
        let starts: Vec<f64> = fill_groups(12, (5, 2), |start, chunk| chunk.fill(start as f64));

        assert_eq!(starts, [0., 0., 2., 2., 4., 5., 5., 7., 7., 9., 10., 10.]);
    }

    #[test]
    fn a_pair_is_cut_alike() {
        for (len, _, chunk) in CUTS.map(|(len, group, chunk)| (len, group, chunk.max(1))) {
            let (numbers, lengths) = fill_pair::<f64, u8>(len, chunk, |start, first, second| {
                first.fill(start as f64);
                second.fill(u8::try_from(first.len()).unwrap());
            });

            let starts = (0..len).map(|at| at / chunk * chunk);
            let expected_lengths = starts.clone().map(|start| chunk.min(len - start));
            assert_eq!(numbers, starts.map(|start| start as f64).collect::<Vec<_>>());
            assert!(lengths.into_iter().map(usize::from).eq(expected_lengths));
        }
    }

    #[test]
    fn a_panic_passes_through() {
        let calls = AtomicUsize::new(0);
        let filled = catch_unwind(AssertUnwindSafe(|| {
            fill::<f32>(100, 10, |start, _| {
                calls.fetch_add(1, Ordering::Relaxed);
                assert_ne!(start, 50, "the chunk that fails");
            })
        }));

        assert!(filled.is_err());
        assert!(calls.into_inner() > 0);
    }
}
