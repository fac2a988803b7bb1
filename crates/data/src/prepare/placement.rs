//! The way back from the network's squares to the input's grid.

use rayon::prelude::*;

use super::component::main_component;
use super::orientation::Orientation;
use super::resample::{Axis, Tap, whole};
use super::window::{PlaneBox, signed};

/// Where the slices of a prepared case lie on the input's grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// `[D, H, W]` of the input.
    pub(super) input_shape: [usize; 3],
    pub(super) orientation: Orientation,
    /// Rows and columns.
    pub(super) axes: [Axis; 2],
    /// First row and column of the square on the resampled grid; it may lie outside.
    pub(super) starts: [i64; 2],
    /// Side of the square.
    pub(super) side: usize,
}

impl Placement {
    /// Returns the shape `[D, H, W]` of the input.
    pub fn input_shape(&self) -> [usize; 3] {
        self.input_shape
    }

    /// Returns the number of slices.
    pub fn slices(&self) -> usize {
        self.orientation.turned(self.input_shape)[0]
    }

    /// Returns whether every pixel of a slice inside its square is a pixel of the square: nothing
    /// was resampled in the plane, so pasting moves values and never mixes them.
    pub fn keeps_pixels(&self) -> bool {
        self.axes.iter().all(|axis| axis.is_native())
    }

    /// Returns class indices on the input's grid, `[D, H, W]`; outside the squares background.
    ///
    /// After an in-plane resampling every voxel takes the nearest pixel's class; where
    /// probabilities are at hand [`Placement::paste_probabilities`] draws smoother outlines.
    ///
    /// # Shapes
    ///
    /// - `classes`: `[slices, side, side]`
    ///
    /// # Panics
    ///
    /// If `classes` has another length.
    pub fn paste_labels(&self, classes: &[u8]) -> Vec<u8> {
        self.paste(classes, 1, |square, row, column| {
            square[row.nearest() * self.side + column.nearest()]
        })
    }

    /// Returns the most probable class of every voxel on the input's grid, `[D, H, W]`.
    ///
    /// Probabilities are interpolated bilinearly slice by slice, so no volume of probabilities on
    /// the input's grid is ever held. Of equally probable classes the lower index wins. Outside the
    /// squares is background.
    ///
    /// # Shapes
    ///
    /// - `probabilities`: `[slices, side, side, classes]`, or anything else that grows with them
    ///
    /// # Panics
    ///
    /// If `probabilities` has another length or `classes` is not in `1..=256`.
    pub fn paste_probabilities(&self, probabilities: &[f32], classes: usize) -> Vec<u8> {
        self.check_squares(probabilities, classes);
        self.turn_back(&self.most_probable(probabilities, classes))
    }

    /// Returns the most probable class of every pixel of some slices, `[slices, rows, columns]` as
    /// [`Placement::turn_back`] takes them: [`Placement::paste_probabilities`] in two steps, for
    /// callers that do not want to hold the probabilities of all slices at once.
    ///
    /// # Shapes
    ///
    /// - `probabilities`: `[slices, side, side, classes]` of any number of slices
    ///
    /// # Panics
    ///
    /// If `probabilities` does not hold whole slices or `classes` is not in `1..=256`.
    pub fn most_probable(&self, probabilities: &[f32], classes: usize) -> Vec<u8> {
        assert!((1..=256).contains(&classes), "class indices are bytes, got {classes} classes");
        self.planes(probabilities, classes, |square, row, column| {
            let value = |class| self.interpolate(square, (classes, class), row, column);
            let first = (0, value(0));
            let best = (1..classes)
                .map(|class| (class, value(class)))
                .fold(first, |best, other| if other.1 > best.1 { other } else { best });
            u8::try_from(best.0).expect("at most 256 classes")
        })
    }

    /// Returns on the input's grid, `[D, H, W]`, what belongs to its slices.
    ///
    /// # Shapes
    ///
    /// - `planes`: `[slices, rows, columns]` of all slices, before resampling
    ///
    /// # Panics
    ///
    /// If `planes` has another length.
    pub fn turn_back<T: Copy + Default>(&self, planes: &[T]) -> Vec<T> {
        let voxels: usize = self.input_shape.iter().product();
        assert_eq!(planes.len(), voxels, "one value for each voxel of {:?}", self.input_shape);
        self.orientation.turn_back(planes, self.input_shape)
    }

    /// Returns one class's probability on the input's grid, `[D, H, W]`, interpolated bilinearly;
    /// outside the squares it is 0, or 1 for the background.
    ///
    /// # Shapes
    ///
    /// - `probabilities`: `[slices, side, side, classes]`
    ///
    /// # Panics
    ///
    /// If `probabilities` has another length or there is no such class.
    pub fn paste_class_probability(
        &self,
        probabilities: &[f32],
        classes: usize,
        class: usize,
    ) -> Vec<f32> {
        assert!(class < classes, "class {class} of {classes}");
        // Pasting fills with 0, so the background is pasted as its complement.
        let complement = |p: f32| if class == 0 { 1.0 - p } else { p };
        let mut pasted = self.paste(probabilities, classes, |square, row, column| {
            complement(self.interpolate(square, (classes, class), row, column))
        });
        for probability in &mut pasted {
            *probability = complement(*probability);
        }
        pasted
    }

    /// Returns the box around the main part of a prediction, to centre a second crop on; none if
    /// nothing is predicted.
    ///
    /// The main part is the set of voxels, connected across faces whatever their classes, with the
    /// largest product of one plus each class's voxels. Stray voxels far away do not move the box.
    ///
    /// # Shapes
    ///
    /// - `classes`: `[slices, side, side]`
    ///
    /// # Panics
    ///
    /// If `classes` has another length.
    pub fn predicted_box(&self, classes: &[u8]) -> Option<PlaneBox> {
        assert_eq!(classes.len(), self.slices() * self.side * self.side, "one class per pixel");
        let part = main_component(classes, self.side);
        let pixels: Vec<[usize; 2]> =
            part.iter().map(|&at| [at / self.side % self.side, at % self.side]).collect();
        let span = |axis: usize| {
            let native = |at: usize| {
                let position = signed(at) + self.starts[axis];
                let native = self.axes[axis].native_position(position as f64).round().max(0.0);
                whole(native).min(self.axes[axis].native - 1)
            };
            let first = pixels.iter().map(|pixel| pixel[axis]).min()?;
            let last = pixels.iter().map(|pixel| pixel[axis]).max()?;
            Some([native(first), native(last)])
        };
        Some(PlaneBox { rows: span(0)?, columns: span(1)? })
    }

    /// Writes the square of one resampled slice; outside the slice it is `fill`.
    pub(super) fn cut<T: Copy>(&self, plane: &[T], fill: T, out: &mut [T]) {
        out.fill(fill);
        let [rows, columns] = [0, 1].map(|axis| self.overlap(axis));
        for row in 0..rows.length {
            let source = (rows.source + row) * self.axes[1].size + columns.source;
            let target = (rows.target + row) * self.side + columns.target;
            out[target..][..columns.length].copy_from_slice(&plane[source..][..columns.length]);
        }
    }

    /// Returns the squares of all resampled slices, `[slices, side, side]`.
    pub(super) fn cut_labels(&self, labels: &[u8]) -> Vec<u8> {
        let pixels = self.side * self.side;
        let mut squares = vec![0; self.slices() * pixels];
        let planes = labels.chunks_exact(self.axes[0].size * self.axes[1].size);
        for (square, plane) in squares.chunks_exact_mut(pixels).zip(planes) {
            self.cut(plane, 0, square);
        }
        squares
    }

    fn overlap(&self, axis: usize) -> Overlap {
        let start = self.starts[axis];
        let first = start.max(0);
        let end = (start + signed(self.side)).min(signed(self.axes[axis].size));
        let index = |position: i64| {
            usize::try_from(position).expect("a square is centred on a point of its slice")
        };
        Overlap { source: index(first), target: index(first - start), length: index(end - first) }
    }

    /// Gives every voxel of the input the value of its place in its slice's square.
    fn paste<T: Copy + Sync, V: Copy + Default + Send + Sync>(
        &self,
        squares: &[T],
        channels: usize,
        value: impl Fn(&[T], Tap, Tap) -> V + Sync,
    ) -> Vec<V> {
        self.check_squares(squares, channels);
        self.turn_back(&self.planes(squares, channels, value))
    }

    fn check_squares<T>(&self, squares: &[T], channels: usize) {
        let expected = self.slices() * self.side * self.side * channels;
        assert_eq!(squares.len(), expected, "[slices, side, side, {channels}]");
    }

    /// Gives every pixel of the slices whose squares are given the value of its place there.
    fn planes<T: Copy + Sync, V: Copy + Default + Send>(
        &self,
        squares: &[T],
        channels: usize,
        value: impl Fn(&[T], Tap, Tap) -> V + Sync,
    ) -> Vec<V> {
        let length = self.side * self.side * channels;
        assert!(squares.len().is_multiple_of(length), "[slices, side, side, {channels}]");
        let [rows, columns] = [0, 1].map(|axis| self.taps(axis));
        let value_at = |square: &[T], row: Option<Tap>, column: Option<Tap>| {
            row.zip(column).map_or(V::default(), |(row, column)| value(square, row, column))
        };
        let pixels = rows.len() * columns.len();
        let mut planes = vec![V::default(); squares.len() / length * pixels];
        let pairs = planes.par_chunks_exact_mut(pixels).zip(squares.par_chunks_exact(length));
        pairs.for_each(|(plane, square)| {
            for (line, &row) in plane.chunks_exact_mut(columns.len()).zip(&rows) {
                for (target, &column) in line.iter_mut().zip(&columns) {
                    *target = value_at(square, row, column);
                }
            }
        });
        planes
    }

    /// For every row or column of the turned input, where it lies in the square, if it does.
    fn taps(&self, axis: usize) -> Vec<Option<Tap>> {
        let edge = self.side as f64 - 0.5;
        let position =
            |native| self.axes[axis].resampled_position(native as f64) - self.starts[axis] as f64;
        (0..self.axes[axis].native)
            .map(position)
            .map(|at| (at >= -0.5 && at < edge).then(|| Tap::at(at, self.side)))
            .collect()
    }

    fn interpolate(
        &self,
        square: &[f32],
        (classes, class): (usize, usize),
        row: Tap,
        column: Tap,
    ) -> f32 {
        let at = |row: usize, column: usize| square[(row * self.side + column) * classes + class];
        let line = |row: usize| {
            let low = at(row, column.low);
            low + (at(row, column.high) - low) * column.weight
        };
        let low = line(row.low);
        low + (line(row.high) - low) * row.weight
    }
}

/// Where a square and its slice share pixels along one axis.
struct Overlap {
    source: usize,
    target: usize,
    length: usize,
}
