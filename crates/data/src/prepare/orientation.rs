//! Turning a volume so that slices run along a wanted axis of the patient.

use rayon::prelude::*;

use super::Plane;
use crate::Geometry;

/// Which input axis, in which direction, slices, rows and columns run along.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Orientation {
    /// For slices, rows and columns: the axis of `[D, H, W]`.
    axes: [usize; 3],
    /// For slices, rows and columns: whether they run against that axis.
    flipped: [bool; 3],
}

/// The six ways to give three patient axes to three voxel axes.
const PERMUTATIONS: [[usize; 3]; 6] =
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

impl Orientation {
    /// As the file has it.
    const STORED: Self = Self { axes: [0, 1, 2], flipped: [false; 3] };

    /// Returns the turn that brings a volume with this affine (voxel `(W, H, D)` to RAS+) into the
    /// plane.
    ///
    /// Every patient axis gets the voxel axis along which it runs best: the assignment with the
    /// largest sum of absolute direction cosines.
    pub fn new(affine: &[[f64; 4]; 3], plane: Plane) -> Self {
        // Patient axes (0 right, 1 anterior, 2 superior) of slices, rows and columns.
        let wanted = match plane {
            Plane::Stored => return Self::STORED,
            Plane::Axial => [2, 1, 0],
            Plane::Coronal => [1, 2, 0],
            Plane::Sagittal => [0, 2, 1],
        };
        let cosine = |patient: usize, column: usize| {
            let length = affine.iter().map(|row| row[column].powi(2)).sum::<f64>().sqrt();
            affine[patient][column] / length
        };
        let fit = |columns: &[usize; 3]| -> f64 {
            (0..3).map(|patient| cosine(patient, columns[patient]).abs()).sum()
        };
        let best = PERMUTATIONS.iter().fold(&PERMUTATIONS[0], |best, columns| {
            if fit(columns) > fit(best) { columns } else { best }
        });
        Self {
            // Column 0 of the affine belongs to W, the last axis of `[D, H, W]`.
            axes: wanted.map(|patient| 2 - best[patient]),
            flipped: wanted.map(|patient| cosine(patient, best[patient]) < 0.0),
        }
    }

    /// Returns what belongs to `[D, H, W]` in the order slices, rows, columns.
    pub fn turned<T: Copy>(&self, input: [T; 3]) -> [T; 3] {
        self.axes.map(|axis| input[axis])
    }

    /// Returns the turned volume, `[slices, rows, columns]`, of one on a grid of this shape `[D, H, W]`.
    ///
    /// # Panics
    ///
    /// If `voxels` has another length than `shape` says.
    pub fn turn<T: Copy + Send + Sync>(&self, voxels: Vec<T>, shape: [usize; 3]) -> Vec<T> {
        assert_eq!(
            voxels.len(),
            shape.iter().product::<usize>(),
            "one value for each voxel of {shape:?}"
        );
        if *self == Self::STORED {
            return voxels;
        }
        self.turn_planes(&voxels, shape, |plane| plane)
    }

    /// Returns one slice of the turned volume, `[rows, columns]`.
    pub(super) fn plane<T: Copy>(&self, voxels: &[T], shape: [usize; 3], slice: usize) -> Vec<T> {
        let [_, rows, columns] = self.turned(shape);
        let walk = self.walk(shape);
        let mut plane = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            plane.extend((0..columns).map(|column| voxels[walk.index(slice, row, column)]));
        }
        plane
    }

    /// Returns all slices of the turned volume, each changed by `change`.
    pub(super) fn turn_planes<T: Copy + Send + Sync>(
        &self,
        voxels: &[T],
        shape: [usize; 3],
        change: impl Fn(Vec<T>) -> Vec<T> + Sync,
    ) -> Vec<T> {
        let slices = self.turned(shape)[0];
        let planes: Vec<Vec<T>> = (0..slices)
            .into_par_iter()
            .map(|slice| change(self.plane(voxels, shape, slice)))
            .collect();
        planes.concat()
    }

    /// Returns the volume on the input's grid `[D, H, W]` whose slices after turning are `planes`,
    /// `[slices, rows, columns]`.
    pub(super) fn turn_back<T: Copy + Default>(&self, planes: &[T], shape: [usize; 3]) -> Vec<T> {
        let [_, rows, columns] = self.turned(shape);
        let walk = self.walk(shape);
        let mut voxels = vec![T::default(); shape.iter().product()];
        for (slice, plane) in planes.chunks_exact(rows * columns).enumerate() {
            for (row, line) in plane.chunks_exact(columns).enumerate() {
                for (column, &value) in line.iter().enumerate() {
                    voxels[walk.index(slice, row, column)] = value;
                }
            }
        }
        voxels
    }

    fn walk(&self, shape: [usize; 3]) -> Walk {
        let input_strides = [shape[1] * shape[2], shape[2], 1];
        let mut walk = Walk { first: 0, strides: self.turned(input_strides) };
        for (place, axis) in self.axes.into_iter().enumerate() {
            if self.flipped[place] {
                walk.first += (shape[axis] - 1) * walk.strides[place];
                walk.strides[place] = walk.strides[place].wrapping_neg();
            }
        }
        walk
    }
}

/// A sentence if slices along the last axis of the file can hardly be those of the scanner: edges of their pixels differ
/// by more than a factor of two, while across the longer edge they would be alike.
pub(super) fn turned_as_stored(geometry: &Geometry) -> Option<String> {
    let [depth, height, width] = geometry.spacing_mm;
    let (axis, thick, thin) = if height > width { (2, height, width) } else { (1, width, height) };
    let alike = depth.max(thin) <= 2.0 * depth.min(thin);
    if geometry.shape[0] == 1 || thick <= 2.0 * thin || !alike {
        return None;
    }
    let [depth, thick, thin] = [depth, thick, thin].map(|edge| (edge * 1000.0).round() / 1000.0);
    Some(format!(
        "a pixel of the slices as stored is {thick} × {thin} mm, across axis {axis} of the file it would be {depth} × \
         {thin} mm: something seems to have turned the volume; store it like the images that are trained on"
    ))
}

/// Where voxels of the turned volume lie in the input's memory; strides against an axis wrap.
struct Walk {
    first: usize,
    strides: [usize; 3],
}

impl Walk {
    fn index(&self, slice: usize, row: usize, column: usize) -> usize {
        let [slices, rows, columns] = self.strides;
        self.first
            .wrapping_add(slice.wrapping_mul(slices))
            .wrapping_add(row.wrapping_mul(rows))
            .wrapping_add(column.wrapping_mul(columns))
    }
}
