//! The second and the third pass of a [`Field`](super::field::Field) along one line of places.
//!
//! A pass asks, at some places `h`, for the least of `A[a] + ((h − a)·s)²` over places `a`, where
//! `s` is the step from place to place. It need not try every `a`, because the best one moves
//! forward with `h`. For `h < k` and `a < b`, with `V[h, a] = A[a] + ((h − a)·s)²`,
//!
//! ```text
//! V[h, a] + V[k, b] = V[h, b] + V[k, a] − 2·s²·(k − h)·(b − a)
//! ```
//!
//! So if `b` is no worse than `a` at `h`, it is better at every `k > h`, by at least `2·s²`: a place
//! before the best one of `h` is of no use after `h`, nor is a later one before it. Rounding cannot
//! change that while it stays below this gap, see [`moves_forward`].

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use std::ops::Range;

/// Columns that go through the passes together: one byte of a word.
pub(super) const LANES: usize = 8;

/// Places of which only the last one's best place is looked up: it is more work than its least sum.
const GROUP: usize = 8;

/// Places whose least sums are taken together.
const TOGETHER: usize = 4;

/// Returns whether the best place is certain to move forward, whatever is rounded, if no sum
/// exceeds `largest`.
///
/// A sum is the result of at most four roundings, so the four sums in the proof are off by less
/// than `16·2⁻⁵³·V` together. With `V` up to `2⁴⁸·s²` that is half an `s²`.
pub(super) fn moves_forward(largest: f64, step: f64) -> bool {
    largest <= step * step * (1u64 << 48) as f64
}

/// Memory for a block of columns to work in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `A` of the rows of one slice.
    pub(super) squared: Vec<[f64; LANES]>,
    /// `B` of all slices, `[row, slice]`.
    pub(super) columns: Vec<[f64; LANES]>,
    /// `C` of one row.
    pub(super) lowest: Vec<[f64; LANES]>,
    /// Positions of the best places of [`Profile::lowest`].
    pub(super) spans: Vec<Range<usize>>,
    /// `C` of the queries of one row, or of some.
    pub(super) found: Vec<f64>,
}

/// Squared lengths of whole steps along a line, backward and forward.
#[derive(Debug)]
pub(super) struct Steps {
    places: usize,
    /// Of `1 − places` to `places − 1` steps.
    squared: Vec<f64>,
}

impl Steps {
    /// Squares the steps between `places` places of a line.
    pub(super) fn new(places: usize, length: f64) -> Self {
        let squared = |steps: usize| (steps as f64 * length).powi(2);
        let backward = (1..places).rev().map(squared);
        Self { places, squared: backward.chain((0..places).map(squared)).collect() }
    }

    /// Returns the squared lengths from a place to all of them.
    #[inline(always)]
    fn from(&self, place: usize) -> &[f64] {
        &self.squared[self.places - 1 - place..][..self.places]
    }
}

/// Values at some places of a line, in one block of columns.
#[derive(Debug)]
pub(super) struct Profile<'a> {
    /// The places, ascending.
    pub(super) places: &'a [usize],
    /// `A` of each of them.
    pub(super) squared: &'a [[f64; LANES]],
    pub(super) steps: &'a Steps,
    /// What [`moves_forward`] says.
    pub(super) moves_forward: bool,
}

impl Profile<'_> {
    /// Passes the least sums at each of the places `wanted` to `put`, with the position in `wanted`.
    ///
    /// A place is asked after the nearest ones on either side that came before it: their best places
    /// enclose its own. `spans` is memory for these.
    #[inline(always)]
    pub(super) fn lowest(
        &self,
        wanted: &[usize],
        spans: &mut Vec<Range<usize>>,
        mut put: impl FnMut(usize, [f64; LANES]),
    ) {
        let all = 0..self.places.len();
        // Knots are the last places of groups of `GROUP`; first they are halved again and again.
        let knots = if self.moves_forward { wanted.len() / GROUP } else { 0 };
        spans.clear();
        spans.resize(knots, all.clone());
        let enclosing = |spans: &[Range<usize>], before: Option<usize>, after: usize| {
            let first = before.map_or(0, |knot| spans[knot].start);
            first..spans.get(after).unwrap_or(&all).end
        };
        let mut stride = knots.next_power_of_two();
        while stride > 0 {
            for knot in (stride - 1..knots).step_by(2 * stride) {
                let range = enclosing(spans, knot.checked_sub(stride), knot + stride);
                let position = knot * GROUP + GROUP - 1;
                let (least, span) = self.least_of(wanted[position], range);
                spans[knot] = span;
                put(position, least);
            }
            stride /= 2;
        }
        for (knot, group) in wanted.chunks(GROUP).enumerate() {
            let is_known = knot < knots;
            let range = if self.moves_forward {
                enclosing(spans, knot.checked_sub(1), knot)
            } else {
                all.clone()
            };
            let open = group.len() - usize::from(is_known);
            for first in (0..open).step_by(TOGETHER) {
                // The last place stands in for what a group lacks.
                let position = |at: usize| (first + at).min(open - 1);
                let at: [usize; TOGETHER] = std::array::from_fn(|at| group[position(at)]);
                let least = self.least(at, range.clone());
                for (at, least) in least.into_iter().enumerate() {
                    put(knot * GROUP + position(at), least);
                }
            }
        }
    }

    /// Returns the least sums at some places.
    #[inline(always)]
    fn least(
        &self,
        at: [usize; TOGETHER],
        candidates: Range<usize>,
    ) -> [[f64; LANES]; TOGETHER] {
        let mut least = [[f64::INFINITY; LANES]; TOGETHER];
        let across = at.map(|at| self.steps.from(at));
        for (&place, squared) in self.candidates(candidates) {
            for (least, across) in least.iter_mut().zip(across) {
                let across = across[place];
                for (least, squared) in least.iter_mut().zip(squared) {
                    *least = smaller(squared + across, *least);
                }
            }
        }
        least
    }

    /// Returns the least sums at a place, and which positions they come from.
    ///
    /// Positions are floats, because those are chosen by the same vector instructions.
    #[inline(always)]
    fn least_of(&self, at: usize, candidates: Range<usize>) -> ([f64; LANES], Range<usize>) {
        let mut least = [f64::INFINITY; LANES];
        let mut position = candidates.start as f64;
        let mut from = [position; LANES];
        let across = self.steps.from(at);
        for (&place, squared) in self.candidates(candidates) {
            let across = across[place];
            for lane in 0..LANES {
                let value = squared[lane] + across;
                let better = value < least[lane];
                least[lane] = if better { value } else { least[lane] };
                from[lane] = if better { position } else { from[lane] };
            }
            position += 1.0;
        }
        (least, span(from))
    }

    #[inline(always)]
    fn candidates(&self, range: Range<usize>) -> impl Iterator<Item = (&usize, &[f64; LANES])> {
        self.places[range.clone()].iter().zip(&self.squared[range])
    }
}

/// Returns the range from the smallest to the largest of some positions.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the values were positions before"
)]
#[inline(always)]
fn span(positions: [f64; LANES]) -> Range<usize> {
    let first = positions.into_iter().fold(f64::INFINITY, smaller);
    let last = positions.into_iter().fold(0.0, larger);
    first as usize..last as usize + 1
}

/// Returns the smaller of two numbers, neither of them NaN, by one vector instruction.
#[inline(always)]
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// Returns the larger of two numbers, neither of them NaN, by one vector instruction.
#[inline(always)]
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}
