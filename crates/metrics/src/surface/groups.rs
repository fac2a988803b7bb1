//! Which queries may be the farthest, if distances are measured with another spacing.

use super::border::Border;
use super::tiles::SIDE;

/// Far more than the rounding of a squared distance and of a quotient of spacings.
const SLACK: f64 = 1.0 + 1e-9;

/// Queries in one byte of each row of a range of rows, in one slice or in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// No query is farther than this.
    pub(super) squared: f64,
    /// All slices if `None`.
    pub(super) slice: Option<usize>,
    /// First row; there are [`SIDE`] of them in one slice, and one in all.
    pub(super) row: usize,
    /// Which byte of the rows.
    pub(super) byte: usize,
}

/// By how much distances differ between two spacings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// Least and largest quotient of squared distances.
    range: [f64; 2],
}

impl Stretch {
    /// Compares distances with spacing `to` to those with spacing `from`.
    pub(super) fn new(from: &[f64; 3], to: &[f64; 3]) -> Self {
        let factors = [0, 1, 2].map(|axis| (to[axis] / from[axis]).powi(2));
        let least = factors.into_iter().fold(f64::INFINITY, f64::min) / SLACK;
        Self { range: [least, factors.into_iter().fold(0.0, f64::max) * SLACK] }
    }

    /// Returns the largest square that a squared distance can become.
    pub(super) fn at_most(&self, squared: f64) -> f64 {
        squared * self.range[1]
    }

    /// Returns the least square that a squared distance can become.
    fn at_least(&self, squared: f64) -> f64 {
        squared * self.range[0]
    }
}

/// The groups that may hold the farthest query of one direction.
#[derive(Debug)]
pub(super) struct Groups {
    stretch: Stretch,
    /// One query at least is as far, with the other spacing.
    reached: f64,
    list: Vec<Group>,
}

impl Groups {
    pub(super) fn new(stretch: Stretch) -> Self {
        Self { stretch, reached: 0.0, list: Vec::new() }
    }

    /// Adds a group one of whose queries is as far as the group says.
    pub(super) fn push(&mut self, group: Group) {
        if self.may_exceed(&group, self.reached) {
            self.reached = self.reached.max(self.stretch.at_least(group.squared));
            self.list.push(group);
        }
    }

    /// Adds what another task found.
    pub(super) fn join(mut self, other: Self) -> Self {
        other.list.into_iter().for_each(|group| self.push(group));
        self
    }

    /// Returns a squared distance that some query reaches, with the other spacing; 0 without any.
    pub(super) fn reached(&self) -> f64 {
        self.reached
    }

    /// Returns the queries of the group with the farthest one, none if it cannot be farther than
    /// `squared` with the other spacing.
    pub(super) fn farthest(&self, squared: f64, queries: &Border) -> Border {
        let groups = self.list.iter();
        let farthest = groups.max_by(|a, b| a.squared.total_cmp(&b.squared));
        queries_of(queries, farthest.filter(|group| self.may_exceed(group, squared)))
    }

    /// Returns the queries of all groups that may hold one farther than `squared`, with the other
    /// spacing.
    pub(super) fn beyond(&self, squared: f64, queries: &Border) -> Border {
        queries_of(queries, self.list.iter().filter(|group| self.may_exceed(group, squared)))
    }

    /// Returns whether a query of a group may be farther than `squared`, with the other spacing.
    fn may_exceed(&self, group: &Group, squared: f64) -> bool {
        self.stretch.at_most(group.squared) > squared
    }
}

/// Returns the queries in some groups alone.
fn queries_of<'a, I>(queries: &Border, groups: I) -> Border
where
    I: IntoIterator<Item = &'a Group>,
    I::IntoIter: Clone,
{
    let [_, rows, _] = queries.shape;
    let indices = |group: &Group| {
        let Group { slice, row, byte, .. } = *group;
        let (slices, in_slice) = match slice {
            Some(slice) => (slice..slice + 1, row..rows.min(row + SIDE)),
            None => (queries.hull.slices.clone(), row..row + 1),
        };
        let places = slices.flat_map(move |slice| in_slice.clone().map(move |row| (slice, row)));
        places.map(move |(slice, row)| queries.index([slice, row, byte / 8]))
    };
    let mask = |group: &Group| 0xff << (group.byte % 8 * 8);
    queries.subset(
        groups.into_iter().flat_map(|group| indices(group).map(move |index| (index, mask(group)))),
    )
}
