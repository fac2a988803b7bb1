//! Two label maps as bit planes, packed in the same pass that counts the confusion.
//!
//! Dimension key: `D` slices, `H` rows, `W` columns of voxels, `L` labels, and
//! `words = ⌈W / 64⌉`. Bit `i` of word `w` is the voxel in column `64·w + i`.

use std::ops::Range;

use rayon::prelude::*;

use crate::confusion::{Tally, count_run, count_word};
use crate::label::Columns;
use crate::runs::{CHUNK, Run, for_each_run, starts, voxels_of};
use crate::{Confusion, Label};

/// Runs of a word per label from which on it is less work to look for each label in turn.
const RUNS_PER_LABEL: usize = 3;

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
    bits: (&mut [u64], &mut [u64]),
    width: usize,
    columns: &Columns,
) -> SliceScan {
    let labels = columns.labels().iter().map(|&label| L::try_from(label).ok()).collect();
    let mut target = SliceBits {
        columns,
        labels,
        height: prediction.len() / width,
        words: width.div_ceil(CHUNK),
        bits,
        scan: SliceScan {
            tallies: vec![Tally::default(); columns.count()],
            extents: vec![None; columns.count()],
        },
    };
    let rows = prediction.chunks_exact(width).zip(reference.chunks_exact(width));
    for (row, (prediction, reference)) in rows.enumerate() {
        let chunks = prediction.chunks(CHUNK).zip(reference.chunks(CHUNK));
        for (word, (prediction, reference)) in chunks.enumerate() {
            let starts = starts(prediction, reference);
            if starts.count_ones() as usize <= RUNS_PER_LABEL * columns.count() {
                target.pack_runs(prediction, reference, starts, row, word);
            } else {
                target.pack_labels(prediction, reference, row, word);
            }
        }
    }
    target.scan
}

/// A slice that is being packed, voxels of type `L`.
#[derive(Debug)]
struct SliceBits<'a, L> {
    columns: &'a Columns,
    /// Labels of the columns; `None` if no voxel of this type can have it.
    labels: Vec<Option<L>>,
    height: usize,
    words: usize,
    /// Bits of prediction and reference, `[L, H, words]`.
    bits: (&'a mut [u64], &'a mut [u64]),
    scan: SliceScan,
}

impl<L: Label> SliceBits<'_, L> {
    /// Packs one word run by run.
    fn pack_runs(
        &mut self,
        prediction: &[L],
        reference: &[L],
        starts: u64,
        row: usize,
        word: usize,
    ) {
        for_each_run(prediction, reference, starts, |run| {
            let predicted = self.columns.of(run.prediction);
            let expected = self.columns.of(run.reference);
            count_run(&mut self.scan.tallies, predicted, expected, run.length as u64);
            let mask = run_mask(&run);
            let mut set = |bits: &mut [u64], column: usize| {
                bits[(column * self.height + row) * self.words + word] |= mask;
                include(&mut self.scan.extents[column], row, word);
            };
            if let Some(column) = predicted {
                set(self.bits.0, column);
            }
            if let Some(column) = expected {
                set(self.bits.1, column);
            }
        });
    }

    /// Packs one word label by label, which takes the same time however often the labels change.
    fn pack_labels(&mut self, prediction: &[L], reference: &[L], row: usize, word: usize) {
        for (column, label) in self.labels.iter().enumerate() {
            let Some(label) = *label else { continue };
            let (predicted, expected) = (voxels_of(prediction, label), voxels_of(reference, label));
            if predicted | expected != 0 {
                count_word(&mut self.scan.tallies[column], predicted, expected);
                include(&mut self.scan.extents[column], row, word);
                let at = (column * self.height + row) * self.words + word;
                self.bits.0[at] = predicted;
                self.bits.1[at] = expected;
            }
        }
    }
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
