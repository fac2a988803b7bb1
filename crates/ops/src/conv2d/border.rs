//! Parts of an image with what lies around it, copied to scratch memory.

use std::ops::Range;

use super::Padding;
use crate::norm::Affine;

/// One image of a batch, `[H, W, C]`, with the rule for its outside.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) values: &'a [f32],
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) padding: Padding,
    /// Applied to the pixels as they are read.
    pub(super) norm: Option<&'a Affine>,
}

/// A window that spans the image's columns; negative positions and those past the end lie outside.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) rows: Range<isize>,
    pub(super) columns: Range<isize>,
}

impl Window {
    /// The window with `rows` and `columns` more on every side.
    pub(super) fn grown(&self, (rows, columns): (usize, usize)) -> Self {
        let grow = |range: &Range<isize>, by: usize| {
            range.start - by.cast_signed()..range.end + by.cast_signed()
        };
        Self { rows: grow(&self.rows, rows), columns: grow(&self.columns, columns) }
    }
}

/// The place inside the image that a mirrored position shows: `… 1 0 | 0 1 … n-1 | n-1 n-2 …`.
pub(super) fn mirrored(position: isize, size: usize) -> usize {
    let turn = 2 * size;
    let index = position.rem_euclid(turn.cast_signed()).cast_unsigned();
    index.min(turn - 1 - index)
}

impl Image<'_> {
    /// Returns a copy of the window in `scratch`, rows adjacent.
    ///
    /// It is followed by `slack` zeros, for vector reads past its end.
    pub(super) fn copy_window<'s>(
        &self,
        window: &Window,
        slack: usize,
        scratch: &'s mut Vec<f32>,
    ) -> &'s [f32] {
        let row_len = window.columns.len() * self.channels;
        let needed = window.rows.len() * row_len + slack;
        if scratch.len() < needed {
            scratch.resize(needed, 0.0);
        }
        let (rows, rest) = scratch.split_at_mut(needed - slack);
        rest[..slack].fill(0.0);
        for (y, target) in window.rows.clone().zip(rows.chunks_exact_mut(row_len)) {
            match self.row(y) {
                Some(row) => self.copy_columns(row, &window.columns, target),
                None => target.fill(0.0),
            }
        }
        &scratch[..needed]
    }

    /// The image's row that position `y` shows.
    fn row(&self, y: isize) -> Option<&[f32]> {
        let row = place(y, self.height, self.padding)?;
        Some(&self.values[row * self.width * self.channels..][..self.width * self.channels])
    }

    fn copy_columns(&self, row: &[f32], columns: &Range<isize>, target: &mut [f32]) {
        let at = |x: isize| (x - columns.start).cast_unsigned() * self.channels;
        let inside = &mut target[at(0)..][..row.len()];
        inside.copy_from_slice(row);
        if let Some(norm) = self.norm {
            norm.apply(inside);
        }
        for x in (columns.start..0).chain(self.width.cast_signed()..columns.end) {
            match place(x, self.width, self.padding) {
                Some(column) => {
                    let source = at(column.cast_signed());
                    target.copy_within(source..source + self.channels, at(x));
                }
                None => target[at(x)..][..self.channels].fill(0.0),
            }
        }
    }
}

/// The row or column inside the image that `position` shows.
pub(super) fn place(position: isize, size: usize, padding: Padding) -> Option<usize> {
    match padding {
        Padding::Zero => usize::try_from(position).ok().filter(|&place| place < size),
        Padding::Symmetric => Some(mirrored(position, size)),
    }
}
