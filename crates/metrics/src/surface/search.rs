//! Distances from the voxels of one surface to another, by whichever search is less work.

use std::sync::OnceLock;

use rayon::prelude::*;

use super::bits::{for_each_bit, ranks};
use super::border::Border;
use super::field::Field;
use super::groups::{Group, Groups, Stretch};
use super::near::{Neighbours, Offsets, REACH};
use super::tally::{Question, Tally};
use super::tiles::{Margins, SIDE, Tiles};

/// Queries that are tried before it is decided how to answer all of them.
const SAMPLE: usize = 32;

/// Work of a query that is out of reach of its tile, in voxels of a [`Field`]: about 500 ns against
/// 2 ns.
const TILE_WORK: usize = 256;

/// Something to search: a surface in both forms, and the offsets to look at around a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) border: &'a Border,
    /// All that may be asked for.
    pub(super) asked: &'a Border,
    /// The surface for these queries, once they were searched for by tiles.
    pub(super) tiles: &'a OnceLock<Tiles>,
    pub(super) offsets: &'a Offsets,
}

/// Queries out of reach of their tiles, as words of the box and the bits in each.
type Far = Vec<(usize, u64)>;

impl Target<'_> {
    /// Returns the squared distance from every voxel set in `queries`, in raster order.
    pub(super) fn nearest(&self, queries: &Border) -> Vec<f64> {
        if self.is_far(queries) {
            return self.field().nearest(queries);
        }
        let (mut squared, far) = self.nearest_by_tiles(queries);
        if !far.is_empty() {
            let open = squared.iter_mut().filter(|squared| squared.is_infinite());
            let found = self.field().nearest(&queries.subset(far));
            open.zip(found).for_each(|(squared, found)| *squared = found);
        }
        squared
    }

    /// Counts what is asked about the distances of `queries`, and finds those that may be the
    /// farthest with another spacing.
    pub(super) fn tally<'q>(
        &self,
        queries: &Border,
        question: &'q Question<'q>,
        stretch: Stretch,
    ) -> (Tally<'q>, Groups) {
        if self.is_far(queries) {
            return self.field().tally(queries, question, stretch);
        }
        let Counts { times, groups, far, .. } = self.counts(queries, stretch);
        let mut tally = Tally::new(question);
        let lengths = (0..times.len()).map(|offset| self.offsets.squared(offset).sqrt());
        tally.add_counts(lengths.zip(times));
        if far.is_empty() {
            return (tally, groups);
        }
        let far = queries.subset(far);
        let (of_far, groups_of_far) = self.field().tally(&far, question, stretch);
        (tally.join(of_far), groups.join(groups_of_far))
    }

    /// Returns the largest squared distance from any voxel set in `queries`, 0 if there is none.
    pub(super) fn farthest(&self, queries: &Border) -> f64 {
        if queries.count == 0 {
            return 0.0;
        }
        if self.is_far(queries) {
            return self.field().farthest(queries);
        }
        let tiles = self.tiles();
        let slices = queries.hull.slices.clone().into_par_iter();
        let start = || (0, Far::new(), self.offsets.memory());
        let search = |(mut last, mut far, mut seen): (usize, Far, Vec<Neighbours>), slice| {
            for_each_tile(queries, slice, |place, tile| {
                let found = |_, offset| last = last.max(offset);
                let open = self.offsets.nearest(tiles, place, tile, &mut seen, found);
                far.extend(words_of_tile(queries, place, open));
            });
            (last, far, seen)
        };
        let (last, far, _) = slices.fold(start, search).reduce(start, |mut one, other| {
            one.1.extend(other.1);
            (one.0.max(other.0), one.1, one.2)
        });
        // The first offset is no step at all, and has the length of none.
        let near = self.offsets.squared(last);
        if far.is_empty() { near } else { near.max(self.field().farthest(&queries.subset(far))) }
    }

    fn tiles(&self) -> &Tiles {
        self.tiles.get_or_init(|| Tiles::new(self.border, self.asked, self.offsets.margins()))
    }

    fn field(&self) -> Field<'_> {
        Field::new(self.border, self.offsets.spacing())
    }

    /// Returns whether so many queries are out of reach that a field is less work than their tiles;
    /// there must be one.
    ///
    /// Both answers are exact: this decides how long they take, not what they are.
    fn is_far(&self, queries: &Border) -> bool {
        let sample: Vec<_> = sample_of(queries).collect();
        let tried = sample.len();
        let (beyond, near): (Vec<_>, Vec<_>) =
            sample.into_iter().partition(|&at| self.is_beyond(at));
        let work = Field::work(self.border, queries);
        let is_too_much = |missed: usize| missed * queries.count / tried * TILE_WORK > work;
        // Tiles that no one asks for are not laid out.
        if near.is_empty() || is_too_much(beyond.len()) {
            return true;
        }
        if queries.count * TILE_WORK <= work {
            return false;
        }
        let mut seen = self.offsets.memory();
        let mut is_missed = |[slice, row, column]: [usize; 3]| {
            let tile = [slice, row / SIDE * SIDE, column / SIDE];
            let query = 1 << (row % SIDE * SIDE + column % SIDE);
            self.offsets.nearest(self.tiles(), tile, query, &mut seen, |_, _| ()) != 0
        };
        let missed = near.into_iter().filter(|&at| is_missed(at)).count();
        is_too_much(beyond.len() + missed)
    }

    /// Returns whether a place is farther than tiles reach from the box that holds the target.
    fn is_beyond(&self, place: [usize; 3]) -> bool {
        let hull = &self.border.hull;
        let columns = hull.words.start * 64..hull.words.end * 64;
        let held = [&hull.slices, &hull.rows, &columns];
        let Margins { slices, rows } = self.offsets.margins();
        let reach = [slices, rows, REACH];
        (0..3).any(|axis| {
            place[axis] + reach[axis] < held[axis].start
                || place[axis] >= held[axis].end + reach[axis]
        })
    }

    /// Returns the squared distance of every query in reach, infinity for the others, and those;
    /// `queries` must be no subset.
    fn nearest_by_tiles(&self, queries: &Border) -> (Vec<f64>, Far) {
        let [_, rows, words] = queries.shape;
        let mut squared = vec![f64::INFINITY; queries.count];
        let mut rest = squared.as_mut_slice();
        let mut slices = Vec::new();
        for (slice, bits) in queries.bits.chunks_exact(rows * words).enumerate() {
            let count = super::bits::count(bits);
            let (squared, after) = rest.split_at_mut(count);
            rest = after;
            if count > 0 {
                slices.push((slice, squared));
            }
        }
        let tiles = self.tiles();
        let far = slices.into_par_iter().map(|(slice, squared)| {
            let first = slice * rows * words;
            let ranks = ranks(&queries.bits[first..][..rows * words]);
            let (mut seen, mut far) = (self.offsets.memory(), Vec::new());
            for_each_tile(queries, slice, |place, tile| {
                let [_, row, byte] = place;
                let at = |bit: usize| (row + bit / SIDE) * words + byte / SIDE;
                let found = |hit, offset| {
                    for_each_bit(hit, |bit| {
                        let column = byte % SIDE * SIDE + bit % SIDE;
                        let before = queries.bits[first + at(bit)] & ((1 << column) - 1);
                        let rank = ranks[at(bit)] + before.count_ones() as usize;
                        squared[rank] = self.offsets.squared(offset);
                    });
                };
                let open = self.offsets.nearest(tiles, place, tile, &mut seen, found);
                far.extend(words_of_tile(queries, place, open));
            });
            far
        });
        let far = far.collect::<Vec<_>>().concat();
        (squared, far)
    }

    /// Counts how often each offset is the nearest.
    fn counts(&self, queries: &Border, stretch: Stretch) -> Counts {
        let start = || Counts {
            times: vec![0; self.offsets.count()],
            groups: Groups::new(stretch),
            far: Vec::new(),
            seen: self.offsets.memory(),
        };
        let tiles = self.tiles();
        let slices = queries.hull.slices.clone().into_par_iter();
        let counts = slices.fold(start, |mut counts, slice| {
            for_each_tile(queries, slice, |place, tile| {
                let mut last = None;
                let found = |hit: u64, offset: usize| {
                    counts.times[offset] += hit.count_ones() as usize;
                    last = Some(offset);
                };
                let open = self.offsets.nearest(tiles, place, tile, &mut counts.seen, found);
                if let Some(offset) = last {
                    let [slice, row, byte] = place;
                    let squared = self.offsets.squared(offset);
                    counts.groups.push(Group { squared, slice: Some(slice), row, byte });
                }
                counts.far.extend(words_of_tile(queries, place, open));
            });
            counts
        });
        counts.reduce(start, Counts::join)
    }
}

/// What a search by tiles finds.
struct Counts {
    /// Queries that each of the offsets is the nearest of.
    times: Vec<usize>,
    groups: Groups,
    far: Far,
    /// Memory of the search.
    seen: Vec<Neighbours>,
}

impl Counts {
    fn join(mut self, other: Self) -> Self {
        self.times.iter_mut().zip(other.times).for_each(|(times, more)| *times += more);
        self.far.extend(other.far);
        Self { groups: self.groups.join(other.groups), ..self }
    }
}

/// Returns the places of some voxels set in `queries`, spread over its hull; one at least.
fn sample_of(queries: &Border) -> impl Iterator<Item = [usize; 3]> {
    let slices = &queries.hull.slices;
    let first = queries.start_of(slices.start);
    let plane = &queries.bits[first..queries.start_of(slices.end)];
    let part = plane.len().div_ceil(SAMPLE);
    plane.chunks(part).enumerate().filter_map(move |(at, plane)| {
        let index = plane.iter().position(|&word| word != 0)?;
        let bit = plane[index].trailing_zeros() as usize;
        Some(queries.position(first + at * part + index, bit))
    })
}

/// Visits the tiles of a slice that hold a query, with their `[slice, row, column of bytes]`.
fn for_each_tile(queries: &Border, slice: usize, mut visit: impl FnMut([usize; 3], u64)) {
    let hull = &queries.hull;
    for first in (hull.rows.start / SIDE * SIDE..hull.rows.end).step_by(SIDE) {
        for word in hull.words.clone() {
            let bits = |row: usize| match first + row {
                row if hull.rows.contains(&row) => queries.bits[queries.index([slice, row, word])],
                _ => 0,
            };
            let block: [u64; SIDE] = std::array::from_fn(bits);
            if block.iter().all(|&word| word == 0) {
                continue;
            }
            for byte in 0..SIDE {
                let tile = u64::from_le_bytes(block.map(|word| word.to_le_bytes()[byte]));
                if tile != 0 {
                    visit([slice, first, word * SIDE + byte], tile);
                }
            }
        }
    }
}

/// Returns the words of the box that hold the bits of a tile, with these bits.
fn words_of_tile(
    queries: &Border,
    [slice, first, byte]: [usize; 3],
    tile: u64,
) -> impl Iterator<Item = (usize, u64)> {
    let bytes = tile.to_le_bytes().into_iter().enumerate().filter(|&(_, bits)| bits != 0);
    bytes.map(move |(row, bits)| {
        let index = queries.index([slice, first + row, byte / SIDE]);
        (index, u64::from(bits) << (byte % SIDE * SIDE))
    })
}
