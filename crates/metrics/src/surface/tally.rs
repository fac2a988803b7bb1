//! What is asked about the distances of one direction, while they are being found.
//!
//! Noise has millions of distances, and they come in any order from several tasks. None of what is
//! asked needs a list of them: [`Total`] adds in any order, and percentiles above the middle need the
//! [`Upper`] values alone.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use super::profile::{LANES, larger, smaller};
use super::total::Total;
use super::upper::Upper;

/// What all tasks of one direction need.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) tolerances: &'a [f64],
    pub(super) upper: Upper,
}

/// What is known of the distances that were found so far.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    question: &'a Question<'a>,
    largest: f64,
    total: Total,
    /// Distances up to each tolerance.
    within: Vec<usize>,
    /// Some that may be among the largest.
    gathered: Vec<f64>,
}

/// What is known in the end, without the largest values.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) largest: f64,
    pub(super) total: Total,
    /// Distances up to each tolerance.
    pub(super) within: Vec<usize>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(question: &'a Question<'a>) -> Self {
        Self {
            question,
            largest: 0.0,
            total: Total::default(),
            within: vec![0; question.tolerances.len()],
            gathered: Vec::new(),
        }
    }

    /// Adds distances given by their squares, of which it takes the roots in place.
    #[inline(always)]
    pub(super) fn add(&mut self, squared: &mut [f64]) {
        let (mut least, mut largest) = ([f64::INFINITY; LANES], [0.0; LANES]);
        let (chunks, rest) = squared.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                chunk[lane] = chunk[lane].sqrt();
                least[lane] = smaller(chunk[lane], least[lane]);
                largest[lane] = larger(chunk[lane], largest[lane]);
            }
        }
        for value in rest {
            *value = value.sqrt();
            least[0] = smaller(*value, least[0]);
            largest[0] = larger(*value, largest[0]);
        }
        let least = least.into_iter().fold(f64::INFINITY, smaller);
        let largest = largest.into_iter().fold(0.0, larger);
        let distances = &*squared;
        self.total.add(distances);
        for (within, &tolerance) in self.within.iter_mut().zip(self.question.tolerances) {
            // What lies near each other is as far, so that most lists need not be looked through.
            if largest <= tolerance {
                *within += distances.len();
            } else if least <= tolerance {
                *within += distances.iter().filter(|&&distance| distance <= tolerance).count();
            }
        }
        self.largest = larger(largest, self.largest);
        let limit = self.question.upper.least();
        if largest >= limit {
            for part in distances.chunks(LANES) {
                if part.iter().copied().fold(0.0, larger) >= limit {
                    self.gathered.extend(part.iter().filter(|&&distance| distance >= limit));
                }
            }
            self.question.upper.offer(&mut self.gathered);
        }
    }

    /// Adds distances that occur several times each, in ascending order.
    pub(super) fn add_counts(&mut self, counts: impl DoubleEndedIterator<Item = (f64, usize)>) {
        let mut wanted = self.question.upper.keep();
        for (distance, times) in counts.rev().filter(|&(_, times)| times > 0) {
            self.largest = self.largest.max(distance);
            self.total.add_times(distance, times);
            for (within, &tolerance) in self.within.iter_mut().zip(self.question.tolerances) {
                *within += if distance <= tolerance { times } else { 0 };
            }
            self.gathered.extend(std::iter::repeat_n(distance, times.min(wanted)));
            wanted -= times.min(wanted);
        }
    }

    /// Adds what another task found.
    pub(super) fn join(mut self, mut other: Self) -> Self {
        self.largest = self.largest.max(other.largest);
        self.total.add_total(other.total);
        for (within, other) in self.within.iter_mut().zip(&other.within) {
            *within += other;
        }
        other.hand_over();
        self
    }

    /// Passes the largest values on to [`Question::upper`].
    pub(super) fn hand_over(&mut self) {
        self.question.upper.take(&mut self.gathered);
    }

    /// Ends the count; the largest values are in [`Question::upper`] now.
    pub(super) fn finish(mut self) -> Found {
        self.hand_over();
        Found { largest: self.largest, total: self.total, within: self.within }
    }
}
