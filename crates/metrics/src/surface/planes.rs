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
const RUNS_PER_LABEL: usize = 1;

/// Bit planes of two label maps, with what one pass over them can know.
#[derive(Debug)]
pub(crate) struct Planes {
    /// `[D, H, words]`.
    pub(super) shape: [usize; 3],
    pub(super) prediction: Masks,
    pub(super) reference: Masks,
    /// Counts per label.
    pub(crate) confusion: Vec<Confusion>,
}

/// All masks of one side.
#[derive(Debug)]
pub(super) struct Masks {
    /// One bit per voxel and label, `[D, L, H, words]`.
    pub(super) bits: Vec<u64>,
    /// The smallest box that holds the mask, per label.
    pub(super) extents: Vec<Extent>,
}

/// A box of slices, rows and words; all ranges are empty if one is.
#[derive(Clone, Debug, Default, PartialEq)]
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

    /// Widens the box to hold one more word.
    #[inline(always)]
    pub(super) fn include(&mut self, [slice, row, word]: [usize; 3]) {
        self.slices = hull(&self.slices, &(slice..slice + 1));
        self.rows = hull(&self.rows, &(row..row + 1));
        self.words = hull(&self.words, &(word..word + 1));
    }

    /// Returns the smallest box that holds both.
    pub(super) fn join(&self, other: &Self) -> Self {
        Self {
            slices: hull(&self.slices, &other.slices),
            rows: hull(&self.rows, &other.rows),
            words: hull(&self.words, &other.words),
        }
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
        let masks = || Masks { bits: vec![0; depth * plane], extents: Vec::new() };
        let mut planes = Self {
            shape: [depth, height, words],
            prediction: masks(),
            reference: masks(),
            confusion: Vec::new(),
        };
        let scans: Vec<SliceScan> = if plane == 0 {
            Vec::new()
        } else {
            let voxels = height * width;
            let maps = prediction.par_chunks_exact(voxels).zip(reference.par_chunks_exact(voxels));
            let predicted = planes.prediction.bits.par_chunks_exact_mut(plane);
            let bits = predicted.zip(planes.reference.bits.par_chunks_exact_mut(plane));
            let slices = maps.zip(bits).enumerate();
            slices.map(|(d, (maps, bits))| scan_slice(d, maps, bits, width, &columns)).collect()
        };
        planes.merge(&scans, prediction.len() as u64, columns.count());
        planes
    }

    /// Returns the smallest box that holds both masks of a label.
    pub(super) fn extent(&self, label: usize) -> Extent {
        self.prediction.extents[label].join(&self.reference.extents[label])
    }

    /// Sums the counts of all slices and joins their boxes.
    fn merge(&mut self, scans: &[SliceScan], voxels: u64, labels: usize) {
        for label in 0..labels {
            let mut tally = Tally::default();
            let mut extents = [Extent::default(), Extent::default()];
            for scan in scans {
                tally.add(&scan.tallies[label]);
                for (extent, found) in extents.iter_mut().zip(&scan.extents[label]) {
                    *extent = extent.join(found);
                }
            }
            self.confusion.push(tally.confusion(voxels));
            let [predicted, expected] = extents;
            self.prediction.extents.push(predicted);
            self.reference.extents.push(expected);
        }
    }
}

/// What is known of one slice, per label.
#[derive(Debug)]
struct SliceScan {
    tallies: Vec<Tally>,
    /// Boxes of prediction and reference.
    extents: Vec<[Extent; 2]>,
}

/// Packs one slice: the maps are `[H, W]`, the bits `[L, H, words]`.
fn scan_slice<L: Label>(
    slice: usize,
    (prediction, reference): (&[L], &[L]),
    bits: (&mut [u64], &mut [u64]),
    width: usize,
    columns: &Columns,
) -> SliceScan {
    let labels = columns.labels().iter().map(|&label| L::try_from(label).ok()).collect();
    let mut target = SliceBits {
        slice,
        columns,
        labels,
        height: prediction.len() / width,
        words: width.div_ceil(CHUNK),
        bits,
        scan: SliceScan {
            tallies: vec![Tally::default(); columns.count()],
            extents: vec![<[Extent; 2]>::default(); columns.count()],
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
    slice: usize,
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
            let place = [self.slice, row, word];
            let at = |column: usize| (column * self.height + row) * self.words + word;
            if let Some(column) = predicted {
                self.bits.0[at(column)] |= mask;
                self.scan.extents[column][0].include(place);
            }
            if let Some(column) = expected {
                self.bits.1[at(column)] |= mask;
                self.scan.extents[column][1].include(place);
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
                let place = [self.slice, row, word];
                let at = (column * self.height + row) * self.words + word;
                // Memory that is not written is not taken from the system.
                if predicted != 0 {
                    self.bits.0[at] = predicted;
                    self.scan.extents[column][0].include(place);
                }
                if expected != 0 {
                    self.bits.1[at] = expected;
                    self.scan.extents[column][1].include(place);
                }
            }
        }
    }
}

/// Returns the bits of the voxels of a run.
fn run_mask(run: &Run) -> u64 {
    (u64::MAX >> (CHUNK - run.length)) << run.start
}

/// Returns the smallest range that holds both.
#[inline(always)]
fn hull(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => a.start.min(b.start)..a.end.max(b.end),
    }
}
