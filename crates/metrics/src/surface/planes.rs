//! Two label maps as bit planes, packed in the same pass that counts the confusion.
//!
//! Dimension key: `D` slices, `H` rows, `W` columns of voxels, `L` labels, and
//! `words = ⌈W / 64⌉`. Bit `i` of word `w` is the voxel in column `64·w + i`.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use std::ops::Range;

use rayon::prelude::*;

use crate::confusion::{Tally, count_run, count_word};
use crate::gather::{Gather, Packing, pack};
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
                let [rows, words] = &scan.extents[label];
                if !rows.is_empty() {
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
    /// Rows and words that hold a voxel; they start at [`usize::MAX`] if none does.
    extents: Vec<[Range<usize>; 2]>,
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
            extents: vec![[usize::MAX..0, usize::MAX..0]; columns.count()],
        },
    };
    pack(SlicePacking { slice: &mut target, prediction, reference, width });
    target.scan
}

/// What is packed into a slice: maps of `[H, W]`.
struct SlicePacking<'a, 'b, L> {
    slice: &'a mut SliceBits<'b, L>,
    prediction: &'a [L],
    reference: &'a [L],
    width: usize,
}

impl<L: Label> Packing for SlicePacking<'_, '_, L> {
    #[inline(always)]
    fn pack<G: Gather>(self, gather: G) {
        let predictions = self.prediction.chunks_exact(self.width);
        let rows = predictions.zip(self.reference.chunks_exact(self.width));
        for (row, (prediction, reference)) in rows.enumerate() {
            let (predicted, rest) = prediction.as_chunks::<CHUNK>();
            let (expected, rest_expected) = reference.as_chunks::<CHUNK>();
            for (word, (prediction, reference)) in predicted.iter().zip(expected).enumerate() {
                self.slice.pack_word(prediction, reference, [row, word], gather);
            }
            if !rest.is_empty() {
                self.slice.pack_word(rest, rest_expected, [row, predicted.len()], gather);
            }
        }
    }
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
    /// Packs one word by whichever is less work.
    #[inline(always)]
    fn pack_word<G: Gather>(
        &mut self,
        prediction: &[L],
        reference: &[L],
        at: [usize; 2],
        gather: G,
    ) {
        let starts = starts(prediction, reference, gather);
        if starts.count_ones() as usize <= RUNS_PER_LABEL * self.columns.count() {
            self.pack_runs(prediction, reference, starts, at);
        } else {
            self.pack_labels(prediction, reference, at, gather);
        }
    }

    /// Packs one word run by run.
    #[inline(always)]
    fn pack_runs(
        &mut self,
        prediction: &[L],
        reference: &[L],
        starts: u64,
        [row, word]: [usize; 2],
    ) {
        for_each_run(prediction, reference, starts, |run| {
            let predicted = self.columns.of(run.prediction);
            let expected = self.columns.of(run.reference);
            count_run(&mut self.scan.tallies, predicted, expected, run.length as u64);
            let mask = run_mask(&run);
            let mut set = |bits: &mut [u64], column: usize| {
                bits[(column * self.height + row) * self.words + word] |= mask;
                include(&mut self.scan.extents[column], [row, word]);
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
    #[inline(always)]
    fn pack_labels<G: Gather>(
        &mut self,
        prediction: &[L],
        reference: &[L],
        [row, word]: [usize; 2],
        gather: G,
    ) {
        for (column, label) in self.labels.iter().enumerate() {
            let Some(label) = *label else { continue };
            let [predicted, expected] =
                [prediction, reference].map(|map| voxels_of(map, label, gather));
            if predicted | expected != 0 {
                count_word(&mut self.scan.tallies[column], predicted, expected);
                include(&mut self.scan.extents[column], [row, word]);
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

/// Widens rows and words to hold one more word.
#[inline(always)]
fn include(extent: &mut [Range<usize>; 2], at: [usize; 2]) {
    for (range, position) in extent.iter_mut().zip(at) {
        *range = range.start.min(position)..range.end.max(position + 1);
    }
}

/// Returns the smallest range that holds both.
fn hull(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    a.start.min(b.start)..a.end.max(b.end)
}
