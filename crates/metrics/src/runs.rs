//! Reads two label maps as runs of voxels over which neither changes.
//!
//! Label maps are mostly constant, so the work per run replaces the work per voxel, and it does
//! not grow with the number of labels.

use crate::Label;

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
pub(crate) fn starts<L: Label>(prediction: &[L], reference: &[L]) -> u64 {
    let is_constant = is_constant(prediction) && is_constant(reference);
    if is_constant { 1 } else { run_starts(prediction, reference) }
}

/// Calls `visit` for every run of two chunks; `starts` is what [`starts`] says of them.
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
pub(crate) fn voxels_of<L: Label>(chunk: &[L], label: L) -> u64 {
    let mut flags = [0u8; CHUNK];
    for (flag, value) in flags.iter_mut().zip(chunk) {
        *flag = u8::from(*value == label);
    }
    gather(&flags)
}

/// Returns whether all voxels of a chunk are equal.
fn is_constant<L: Label>(chunk: &[L]) -> bool {
    let first = chunk[0];
    chunk.iter().fold(0, |bits, &value| bits | value.difference(first)) == 0
}

/// Returns a word with bit `i` set if voxel `i` differs from voxel `i - 1` in either map; bit 0 is
/// always set.
fn run_starts<L: Label>(prediction: &[L], reference: &[L]) -> u64 {
    let mut changed = [0u8; CHUNK];
    changed[0] = 1;
    let pairs = prediction.windows(2).zip(reference.windows(2));
    for (changed, (prediction, reference)) in changed[1..].iter_mut().zip(pairs) {
        // Both comparisons always run: a branch between them would keep the loop from vectorizing.
        *changed =
            u8::from(prediction[0] != prediction[1]) | u8::from(reference[0] != reference[1]);
    }
    gather(&changed)
}

/// Packs bytes of 0 or 1 into bits.
fn gather(flags: &[u8; CHUNK]) -> u64 {
    let bytes = flags.as_chunks::<8>().0.iter().enumerate();
    bytes
        .fold(0, |word, (byte, &flags)| word | gather_bits(u64::from_le_bytes(flags)) << (8 * byte))
}

/// Packs eight bytes of 0 or 1 into eight bits.
///
/// Byte `j` sits at bit `8·j`; the term `2^(56 − 7·j)` of the factor moves it to bit `56 + j`, and
/// no two terms meet below, so no carry reaches the top byte.
fn gather_bits(flags: u64) -> u64 {
    flags.wrapping_mul(0x0102_0408_1020_4080) >> 56
}
