//! Two label maps as bit planes, packed in the same pass that counts the confusion.
//!
//! Dimension key: `D` slices, `H` rows, `W` columns of voxels, `L` labels, and
//! `words = ⌈W / 64⌉`. Bit `i` of word `w` is the voxel in column `64·w + i`.

use std::ops::Range;

use rayon::prelude::*;

use crate::confusion::{Tally, count_run};
use crate::label::Columns;
use crate::runs::{CHUNK, Run, for_each_run};
use crate::{Confusion, Label};

/// Bit planes of two label maps, with what one pass over them can know.
#[derive(Debug)]
pub(crate) struct Planes {
    /// `[D, H, words]`.
    pub(super) shape: [usize; 3],
    /// Bits of the prediction, `[D, L, H, words]`.
    pub(super) prediction: Vec<u64>,
    /// Bits of the reference, `[D, L, H, words]`.
    pub(super) reference: Vec<u64>,
    /// Counts per label.
    pub(crate) confusion: Vec<Confusion>,
    /// Per label, the smallest box that holds both masks; `None` if both are empty.
    pub(super) extents: Vec<Option<Extent>>,
}

/// A box of slices, rows and words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Extent {
    pub(super) slices: Range<usize>,
    pub(super) rows: Range<usize>,
    pub(super) words: Range<usize>,
}

impl Extent {
    /// Returns `[slices, rows, words]`.
    pub(super) fn shape(&self) -> [usize; 3] {
        [self.slices.len(), self.rows.len(), self.words.len()]
    }
}

impl Planes {
    /// Packs two label maps of `shape` `[D, H, W]`, one bit plane per label and map.
    pub(crate) fn pack<L: Label>(
        prediction: &[L],
        reference: &[L],
        shape: [usize; 3],
        labels: &[u16],
    ) -> Self {
        let [depth, height, width] = shape;
        let words = width.div_ceil(CHUNK);
        let columns = Columns::new(labels);
        let plane = columns.count() * height * words;
        let mut planes = Self {
            shape: [depth, height, words],
            prediction: vec![0; depth * plane],
            reference: vec![0; depth * plane],
            confusion: Vec::new(),
            extents: Vec::new(),
        };
        let scans: Vec<SliceScan> = if plane == 0 {
            Vec::new()
        } else {
            let voxels = height * width;
            let maps = prediction.par_chunks_exact(voxels).zip(reference.par_chunks_exact(voxels));
            let bits = planes
                .prediction
                .par_chunks_exact_mut(plane)
                .zip(planes.reference.par_chunks_exact_mut(plane));
            maps.zip(bits).map(|(maps, bits)| scan_slice(maps, bits, width, &columns)).collect()
        };
        planes.merge(&scans, prediction.len() as u64, columns.count());
        planes
    }

    /// Sums the counts of all slices and joins their boxes.
    fn merge(&mut self, scans: &[SliceScan], voxels: u64, labels: usize) {
        for label in 0..labels {
            let mut tally = Tally::default();
            let mut extent: Option<Extent> = None;
            for (slice, scan) in scans.iter().enumerate() {
                tally.add(&scan.tallies[label]);
                if let Some((rows, words)) = &scan.extents[label] {
                    let slices = slice..slice + 1;
                    extent = Some(match extent {
                        None => Extent { slices, rows: rows.clone(), words: words.clone() },
                        Some(seen) => Extent {
                            slices: hull(&seen.slices, &slices),
                            rows: hull(&seen.rows, rows),
                            words: hull(&seen.words, words),
                        },
                    });
                }
            }
            self.confusion.push(tally.confusion(voxels));
            self.extents.push(extent);
        }
    }
}

/// What is known of one slice, per label.
#[derive(Debug)]
struct SliceScan {
    tallies: Vec<Tally>,
    /// Rows and words that hold a voxel.
    extents: Vec<Option<(Range<usize>, Range<usize>)>>,
}

/// Packs one slice: the maps are `[H, W]`, the bits `[L, H, words]`.
fn scan_slice<L: Label>(
    (prediction, reference): (&[L], &[L]),
    (prediction_bits, reference_bits): (&mut [u64], &mut [u64]),
    width: usize,
    columns: &Columns,
) -> SliceScan {
    let words = width.div_ceil(CHUNK);
    let height = prediction.len() / width;
    let mut scan = SliceScan {
        tallies: vec![Tally::default(); columns.count()],
        extents: vec![None; columns.count()],
    };
    let rows = prediction.chunks_exact(width).zip(reference.chunks_exact(width));
    for (row, (prediction, reference)) in rows.enumerate() {
        let chunks = prediction.chunks(CHUNK).zip(reference.chunks(CHUNK));
        for (word, (prediction, reference)) in chunks.enumerate() {
            for_each_run(prediction, reference, |run| {
                let predicted = columns.of(run.prediction);
                let expected = columns.of(run.reference);
                count_run(&mut scan.tallies, predicted, expected, run.length as u64);
                let mask = run_mask(&run);
                let mut set = |bits: &mut [u64], column: usize| {
                    bits[(column * height + row) * words + word] |= mask;
                    include(&mut scan.extents[column], row, word);
                };
                if let Some(column) = predicted {
                    set(prediction_bits, column);
                }
                if let Some(column) = expected {
                    set(reference_bits, column);
                }
            });
        }
    }
    scan
}

/// Returns the bits of the voxels of a run.
fn run_mask(run: &Run) -> u64 {
    (u64::MAX >> (CHUNK - run.length)) << run.start
}

/// Widens the box to hold one more word.
fn include(extent: &mut Option<(Range<usize>, Range<usize>)>, row: usize, word: usize) {
    let (row, word) = (row..row + 1, word..word + 1);
    *extent = Some(match extent {
        None => (row, word),
        Some((rows, words)) => (hull(rows, &row), hull(words, &word)),
    });
}

/// Returns the smallest range that holds both.
fn hull(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    a.start.min(b.start)..a.end.max(b.end)
}
