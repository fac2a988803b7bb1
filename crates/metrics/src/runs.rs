//! Reads two label maps as runs of voxels over which neither changes.
//!
//! Label maps are mostly constant, so the work per run replaces the work per voxel, and it does
//! not grow with the number of labels.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use crate::Label;
use crate::gather::Gather;

/// Voxels that are read at a time: one word of a bit plane.
pub(crate) const CHUNK: usize = 64;

/// Consecutive voxels of one chunk with one pair of values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// First voxel, counted in the chunk.
    pub(crate) start: usize,
    /// Number of voxels, at least 1.
    pub(crate) length: usize,
    /// Value in the prediction.
    pub(crate) prediction: u16,
    /// Value in the reference.
    pub(crate) reference: u16,
}

/// Returns where the runs of two equally long chunks of at most [`CHUNK`] voxels start.
#[inline(always)]
pub(crate) fn starts<L: Label>(prediction: &[L], reference: &[L], gather: impl Gather) -> u64 {
    let is_constant = is_constant(prediction) && is_constant(reference);
    if is_constant { 1 } else { run_starts(prediction, reference, gather) }
}

/// Calls `visit` for every run of two chunks; `starts` is what [`starts`] says of them.
#[inline(always)]
pub(crate) fn for_each_run<L: Label>(
    prediction: &[L],
    reference: &[L],
    mut starts: u64,
    mut visit: impl FnMut(Run),
) {
    let voxels = prediction.len();
    while starts != 0 {
        let start = starts.trailing_zeros() as usize;
        starts &= starts - 1;
        let end = voxels.min(starts.trailing_zeros() as usize);
        visit(Run {
            start,
            length: end - start,
            prediction: prediction[start].into(),
            reference: reference[start].into(),
        });
    }
}

/// Returns a word with bit `i` set if voxel `i` of a chunk has this label.
#[inline(always)]
pub(crate) fn voxels_of<L: Label>(chunk: &[L], label: L, gather: impl Gather) -> u64 {
    let mut flags = [0u8; CHUNK];
    for (flag, value) in flags.iter_mut().zip(chunk) {
        *flag = 0u8.wrapping_sub(u8::from(*value == label));
    }
    gather.gather(&flags)
}

/// Returns whether all voxels of a chunk are equal.
#[inline(always)]
fn is_constant<L: Label>(chunk: &[L]) -> bool {
    let first = chunk[0];
    chunk.iter().fold(0, |bits, &value| bits | value.difference(first)) == 0
}

/// Returns a word with bit `i` set if voxel `i` differs from voxel `i - 1` in either map; bit 0 is
/// always set.
#[inline(always)]
fn run_starts<L: Label>(prediction: &[L], reference: &[L], gather: impl Gather) -> u64 {
    let mut changed = [0u8; CHUNK];
    changed[0] = u8::MAX;
    let pairs = prediction.windows(2).zip(reference.windows(2));
    for (changed, (prediction, reference)) in changed[1..].iter_mut().zip(pairs) {
        // Both comparisons always run: a branch between them would keep the loop from vectorizing.
        let differs =
            u8::from(prediction[0] != prediction[1]) | u8::from(reference[0] != reference[1]);
        *changed = 0u8.wrapping_sub(differs);
    }
    gather.gather(&changed)
}
