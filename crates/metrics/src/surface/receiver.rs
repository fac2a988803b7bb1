//! What becomes of the squared distances that a [`Field`](super::field::Field) finds.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use super::groups::{Group, Groups};
use super::profile::{LANES, larger};
use super::tally::Tally;

/// Distances that are worth a look at once.
const ENOUGH: usize = 512;

/// Takes what is found in one block of columns.
pub(super) trait Receiver: Send {
    /// Looks at a list of squared distances, to which those of the queries in one row were added.
    fn row(&mut self, row: usize, squared: &mut Vec<f64>);

    /// Takes what is left in the list, and empties it.
    fn finish(&mut self, squared: &mut Vec<f64>);
}

/// Keeps them all.
#[derive(Debug, Default)]
pub(super) struct Listing {
    squared: Vec<f64>,
}

impl Listing {
    /// Returns the squared distances by row, slice and column.
    pub(super) fn squared(&self) -> &[f64] {
        &self.squared
    }
}

impl Receiver for Listing {
    #[inline(always)]
    fn row(&mut self, _: usize, _: &mut Vec<f64>) {}

    #[inline(always)]
    fn finish(&mut self, squared: &mut Vec<f64>) {
        self.squared.clone_from(squared);
        squared.clear();
    }
}

/// Looks for the largest.
#[derive(Debug, Default)]
pub(super) struct Farthest {
    pub(super) squared: f64,
}

impl Receiver for Farthest {
    #[inline(always)]
    fn row(&mut self, _: usize, squared: &mut Vec<f64>) {
        self.finish(squared);
    }

    #[inline(always)]
    fn finish(&mut self, squared: &mut Vec<f64>) {
        self.squared = larger(largest(squared), self.squared);
        squared.clear();
    }
}

/// Returns the largest of some values, 0 if there are none.
#[inline(always)]
fn largest(values: &[f64]) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut largest = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            largest[lane] = larger(chunk[lane], largest[lane]);
        }
    }
    largest.iter().chain(rest).copied().fold(0.0, larger)
}

/// Counts them.
#[derive(Debug)]
pub(super) struct Counting<'a> {
    tally: Tally<'a>,
    groups: Groups,
    byte: usize,
    /// Length of the list before the row.
    before: usize,
}

impl<'a> Counting<'a> {
    /// Starts to count in the columns of a byte.
    pub(super) fn new(tally: Tally<'a>, groups: Groups, byte: usize) -> Self {
        Self { tally, groups, byte, before: 0 }
    }

    pub(super) fn into_parts(mut self) -> (Tally<'a>, Groups) {
        self.tally.hand_over();
        (self.tally, self.groups)
    }
}

impl Receiver for Counting<'_> {
    #[inline(always)]
    fn row(&mut self, row: usize, squared: &mut Vec<f64>) {
        let farthest = largest(&squared[self.before..]);
        self.groups.push(Group { squared: farthest, slice: None, row, byte: self.byte });
        self.before = squared.len();
        if squared.len() >= ENOUGH {
            self.finish(squared);
        }
    }

    #[inline(always)]
    fn finish(&mut self, squared: &mut Vec<f64>) {
        self.tally.add(squared);
        squared.clear();
        self.before = 0;
    }
}
