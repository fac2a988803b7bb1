//! The two voxel types of a label map, and the table from label value to column.

/// A voxel of a label map: `u8` (class indices) or `u16` (original label values).
pub trait Label: sealed::Sealed + Copy + Eq + Send + Sync + Into<u16> + TryFrom<u16> {
    /// Returns a value that is 0 exactly where `self` and `other` are equal.
    ///
    /// Folding it over a row compiles to vector instructions, which a chain of `==` does not.
    #[must_use]
    fn difference(self, other: Self) -> u16;
}

impl Label for u8 {
    fn difference(self, other: Self) -> u16 {
        u16::from(self ^ other)
    }
}

impl Label for u16 {
    fn difference(self, other: Self) -> u16 {
        self ^ other
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
}

/// Column of every label of interest; other values have none.
#[derive(Debug)]
pub(crate) struct Columns {
    of: Vec<Option<u16>>,
    labels: Vec<u16>,
}

impl Columns {
    /// Numbers `labels` in the order given; they must be distinct.
    pub(crate) fn new(labels: &[u16]) -> Self {
        let largest = labels.iter().max().map_or(0, |&label| usize::from(label));
        let mut of = vec![None; largest + 1];
        for (column, &label) in (0u16..).zip(labels) {
            of[usize::from(label)] = Some(column);
        }
        Self { of, labels: labels.to_vec() }
    }

    /// Number of labels of interest.
    pub(crate) fn count(&self) -> usize {
        self.labels.len()
    }

    /// The label of every column.
    pub(crate) fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// Returns the column of `label`, if it has one.
    pub(crate) fn of(&self, label: u16) -> Option<usize> {
        self.of.get(usize::from(label)).copied().flatten().map(usize::from)
    }
}
