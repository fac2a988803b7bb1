//! Where the voxels of a volume lie in the patient.

use nifti::NiftiHeader;

use super::fault::NiftiFault;
use super::forms;

/// A voxel grid in space: shape, spacing, position and orientation.
///
/// A geometry keeps the header that it was read from, and what is written on it has the same shape,
/// sform, qform, codes and units. To write on another grid, start from
/// [`Geometry::from_affine`]: changing `affine` in place does not change what is written.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// Number of voxels along `[D, H, W]`; `W` is the first axis of the file.
    pub shape: [usize; 3],
    /// Edge lengths of a voxel along `[D, H, W]`, in millimetres.
    pub spacing_mm: [f64; 3],
    /// Maps voxel `(i, j, k) = (W, H, D)` to RAS+ millimetres: `Σ affine[r][0..3]·(i, j, k) + affine[r][3]`.
    pub affine: [[f64; 4]; 3],
    /// What is written back.
    pub(super) header: NiftiHeader,
}

impl Geometry {
    /// An axis-aligned RAS+ grid whose first voxel centre is the origin, for synthetic data.
    ///
    /// # Shapes and units
    ///
    /// - `shape`, `spacing_mm`: along `[D, H, W]`; millimetres
    ///
    /// # Panics
    ///
    /// If a length is 0 or a spacing is not a positive number.
    ///
    /// # Examples
    ///
    /// ```
    /// let geometry = duomo_data::Geometry::from_spacing([10, 256, 224], [8.0, 1.25, 1.25]);
    /// assert_eq!(geometry.affine[0], [1.25, 0.0, 0.0, 0.0]); // i runs along W
    /// ```
    pub fn from_spacing(shape: [usize; 3], spacing_mm: [f64; 3]) -> Self {
        assert!(
            spacing_mm.iter().all(|&spacing| spacing > 0.0),
            "spacings must be positive, got {spacing_mm:?} mm"
        );
        let [depth, height, width] = spacing_mm;
        Self::from_affine(
            shape,
            [[width, 0.0, 0.0, 0.0], [0.0, height, 0.0, 0.0], [0.0, 0.0, depth, 0.0]],
        )
    }

    /// The grid that an affine spans, for synthetic data.
    ///
    /// The affine is rounded to the 32-bit reals that a file can hold. It is written as the sform,
    /// and as the qform too if it has no shear.
    ///
    /// # Panics
    ///
    /// If a length is 0, or the affine is singular or not finite.
    ///
    /// # Examples
    ///
    /// ```
    /// // First axis towards the left, slices 5 mm apart.
    /// let affine = [[-0.75, 0.0, 0.0, 90.0], [0.0, 0.75, 0.0, -80.0], [0.0, 0.0, 5.0, 12.0]];
    /// let geometry = duomo_data::Geometry::from_affine([12, 240, 240], affine);
    /// assert_eq!(geometry.spacing_mm, [5.0, 0.75, 0.75]);
    /// ```
    pub fn from_affine(shape: [usize; 3], affine: [[f64; 4]; 3]) -> Self {
        assert!(!shape.contains(&0), "every axis needs a voxel, got shape {shape:?}");
        #[expect(clippy::cast_possible_truncation, reason = "files hold 32-bit reals")]
        let rows = affine.map(|row| row.map(|value| value as f32));
        let affine = rows.map(|row| row.map(f64::from));
        assert!(forms::spans_space(&affine), "the affine must span space, got {affine:?}");

        let mut header = NiftiHeader {
            sform_code: SCANNER,
            srow_x: rows[0],
            srow_y: rows[1],
            srow_z: rows[2],
            xyzt_units: MILLIMETRES,
            ..NiftiHeader::default()
        };
        header.dim[0] = 3;
        forms::set_qform(&mut header, &affine, SCANNER);
        Self { shape, spacing_mm: forms::spacing(&affine), affine, header }
    }

    /// The geometry that a header describes; what is odd about it is added to `warnings`.
    pub(super) fn from_header(
        shape: [usize; 3],
        header: NiftiHeader,
        warnings: &mut Vec<String>,
    ) -> Result<Self, NiftiFault> {
        let scale = millimetres_per_unit(header.xyzt_units, warnings);
        let mut affine = forms::affine(&header, shape, scale, warnings)?;
        affine.iter_mut().flatten().for_each(|value| *value *= scale);
        Ok(Self { shape, spacing_mm: forms::spacing(&affine), affine, header })
    }

    /// Returns the same grid with a qform that says what the sform says; with shear it cannot, and gets code 0.
    #[must_use]
    pub fn with_qform_of_sform(&self) -> Self {
        let mut geometry = self.clone();
        if geometry.header.sform_code > 0 {
            let (sform, code) = (forms::sform(&self.header), self.header.qform_code);
            forms::set_qform(&mut geometry.header, &sform, code);
        }
        geometry
    }

    /// Returns whether the axes are not at right angles, as where a scanner's gantry was tilted.
    pub fn is_sheared(&self) -> bool {
        forms::is_sheared(&self.affine)
    }

    /// Number of voxels, `D·H·W`.
    pub fn voxel_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Largest distance between corresponding corners of two volumes, in millimetres.
    ///
    /// ```text
    /// max over c ∈ {0, 1}³ of ‖ A₁(c ⊙ n₁ − ½) − A₂(c ⊙ n₂ − ½) ‖
    /// ```
    ///
    /// The corners are those of the outermost voxels, not their centres, so that flipping the axis
    /// of a single slice shows. Two volumes that cover the same box voxel by voxel have distance 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use duomo_data::Geometry;
    ///
    /// let image = Geometry::from_spacing([2, 4, 4], [5.0, 1.0, 1.0]);
    /// let mut shifted = image.affine;
    /// shifted[0][3] += 3.0;
    /// let labels = Geometry::from_affine(image.shape, shifted);
    /// assert_eq!(image.max_corner_distance_mm(&labels), 3.0);
    /// ```
    pub fn max_corner_distance_mm(&self, other: &Self) -> f64 {
        forms::max_corner_distance((&self.affine, self.shape), (&other.affine, other.shape))
    }

    /// Largest distance from a corner of this volume to the nearest corner of another, in millimetres: 0
    /// for volumes that cover the same box, whatever the order and direction of their axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use duomo_data::Geometry;
    ///
    /// let image = Geometry::from_spacing([2, 4, 4], [5.0, 1.0, 1.0]);
    /// let [[x, ..], rows, slices] = image.affine;
    /// let mirrored = Geometry::from_affine(image.shape, [[-x, 0.0, 0.0, 3.0 * x], rows, slices]);
    /// assert_eq!(image.max_corner_distance_mm(&mirrored), 4.0);
    /// assert_eq!(image.max_box_distance_mm(&mirrored), 0.0);
    /// ```
    pub fn max_box_distance_mm(&self, other: &Self) -> f64 {
        forms::max_box_distance((&self.affine, self.shape), (&other.affine, other.shape))
    }
}

/// `NIFTI_XFORM_SCANNER_ANAT`.
const SCANNER: i16 = 1;

/// `NIFTI_UNITS_MM`, no time unit.
const MILLIMETRES: u8 = 2;

fn millimetres_per_unit(xyzt_units: u8, warnings: &mut Vec<String>) -> f64 {
    let (unit, millimetres) = match xyzt_units & 7 {
        0 | 2 => return 1.0,
        1 => ("metres", 1000.0),
        3 => ("micrometres", 0.001),
        code => {
            warnings.push(format!("field xyzt_units names no length (code {code}); taken as mm"));
            return 1.0;
        }
    };
    warnings.push(format!("field xyzt_units says {unit}; converted to millimetres"));
    millimetres
}
