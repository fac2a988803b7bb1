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
pub(super) const GROUP: usize = 8;

/// Places whose least sums are taken together.
pub(super) const TOGETHER: usize = 4;

/// Returns whether the best place is certain to move forward, whatever is rounded, if no sum
/// exceeds `largest`.
///
/// A sum is the result of at most four roundings, so the four sums in the proof are off by less
/// than `16·2⁻⁵³·V` together. With `V` up to `2⁴⁸·s²` that is half an `s²`.
pub(super) fn moves_forward(largest: f64, step: f64) -> bool {
    largest <= step * step * (1u64 << 48) as f64
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
    /// `within` are the positions that may be best, and `spans` is memory.
    #[inline(always)]
    pub(super) fn lowest(
        &self,
        wanted: &[usize],
        within: Range<usize>,
        spans: &mut Vec<Range<usize>>,
        mut put: impl FnMut(usize, [f64; LANES]),
    ) {
        // Knots are the last places of groups of `GROUP`. They do not help to choose among a few.
        let has_knots = self.moves_forward && within.len() > GROUP;
        let knots = if has_knots { wanted.len() / GROUP } else { 0 };
        let of_knot = |knot: usize| knot * GROUP + GROUP - 1;
        self.spans(
            knots,
            |knot| wanted[of_knot(knot)],
            &within,
            spans,
            |knot, least| {
                put(of_knot(knot), least);
            },
        );
        for (knot, group) in wanted.chunks(GROUP).enumerate() {
            let range = if has_knots {
                enclosing(spans, &within, knot.checked_sub(1), knot)
            } else {
                within.clone()
            };
            let open = group.len() - usize::from(knot < knots);
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

    /// Fills `spans` with the positions that are best at each of some places, ascending, and passes
    /// the least sums to `put`. All positions in `within` if they are not known to move forward.
    ///
    /// A place is asked after the nearest ones on either side that came before it: their best places
    /// enclose its own.
    #[inline(always)]
    pub(super) fn spans(
        &self,
        count: usize,
        place: impl Fn(usize) -> usize,
        within: &Range<usize>,
        spans: &mut Vec<Range<usize>>,
        mut put: impl FnMut(usize, [f64; LANES]),
    ) {
        spans.clear();
        spans.resize(count, within.clone());
        let mut stride = if self.moves_forward { count.next_power_of_two() } else { 0 };
        while stride > 0 {
            for at in (stride - 1..count).step_by(2 * stride) {
                let range = enclosing(spans, within, at.checked_sub(stride), at + stride);
                let (least, span) = self.least_of(place(at), range);
                spans[at] = span;
                put(at, least);
            }
            stride /= 2;
        }
    }

    /// Returns the least sums at some places.
    #[inline(always)]
    pub(super) fn least(
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

/// Returns what may be best between the places of two spans, `within` beyond the first and last.
#[inline(always)]
pub(super) fn enclosing(
    spans: &[Range<usize>],
    within: &Range<usize>,
    before: Option<usize>,
    after: usize,
) -> Range<usize> {
    let first = before.map_or(within.start, |before| spans[before].start);
    first..spans.get(after).unwrap_or(within).end
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
