//! What part of a volume a picture shows.

use duomo_data::Plane;

/// Voxels of one case on one grid, class indices with 0 for the background.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Volumes<'a> {
    /// `[D, H, W]`.
    pub shape: [usize; 3],
    /// Spacing along `[D, H, W]` in millimetres.
    pub spacing_mm: [f64; 3],
    /// Whether rows and columns are shown in reverse, `[H, W]`.
    pub reversed: [bool; 2],
    /// Grey values, if there is an image.
    pub image: Option<&'a [f32]>,
    /// What an expert drew, if there is a reference.
    pub reference: Option<&'a [u8]>,
    /// What the network said.
    pub prediction: &'a [u8],
}

/// The slice along `D` with the largest annotated area: of the reference where it has any class,
/// else of the prediction, else the middle one.
pub(crate) fn telling_slice(volumes: &Volumes<'_>) -> usize {
    let [depth, height, width] = volumes.shape;
    let largest = |labels: &[u8]| {
        let areas =
            labels.chunks(height * width).map(|slice| slice.iter().filter(|&&c| c > 0).count());
        // Of equals, `max_by_key` takes the last; reversed, that is the first slice.
        areas.enumerate().collect::<Vec<_>>().into_iter().rev().max_by_key(|&(_, area)| area)
    };
    [volumes.reference, Some(volumes.prediction)]
        .into_iter()
        .flatten()
        .filter_map(largest)
        .find(|&(_, area)| area > 0)
        .map_or(depth / 2, |(slice, _)| slice)
}

/// Which of `[H, W]` to show in reverse, so that columns run towards the patient's left or back, and
/// rows towards the back or the feet, as radiologists expect.
///
/// `affine` maps voxel `(W, H, D)` to RAS+ millimetres.
pub(crate) fn reversed_axes(affine: &[[f64; 4]; 3]) -> [bool; 2] {
    let runs_forwards = |axis: usize| {
        let along = affine.map(|row| row[axis]);
        along.into_iter().max_by(|a, b| a.abs().total_cmp(&b.abs())).is_some_and(|step| step > 0.0)
    };
    // RAS+ axes point right, to the front and up: each is the opposite of what is expected.
    [runs_forwards(1), runs_forwards(0)]
}

/// [`reversed_axes`] of a volume with this affine once it was turned to `plane`.
pub(crate) fn reversed_in_plane(affine: &[[f64; 4]; 3], plane: Plane) -> [bool; 2] {
    match plane {
        Plane::Stored => reversed_axes(affine),
        // Turned volumes run towards the head or the front, and to the right or the front.
        Plane::Axial | Plane::Coronal | Plane::Sagittal => [true; 2],
    }
}

/// Which slice of how many, counted from 0, with the way in which it is cut where that is not the file's.
pub(crate) fn slice_name(plane: Plane, slice: usize, slices: usize) -> String {
    let way = match plane {
        Plane::Stored => "",
        Plane::Axial => "axial ",
        Plane::Coronal => "coronal ",
        Plane::Sagittal => "sagittal ",
    };
    format!("{way}slice {} of {slices}", slice + 1)
}

/// A square window on a slice, in millimetres from the slice's first corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// Upper left corner, `[y, x]`.
    pub corner_mm: [f64; 2],
    /// Side.
    pub side_mm: f64,
}

/// Share of the annotated region's side that is shown around it, on each side.
const MARGIN: f64 = 0.35;

/// The window around everything annotated in `slice`; the whole slice if nothing is.
pub(super) fn window(volumes: &Volumes<'_>, slice: usize) -> Window {
    let [_, height, width] = volumes.shape;
    let spacing = [volumes.spacing_mm[1], volumes.spacing_mm[2]];
    let whole = [height as f64 * spacing[0], width as f64 * spacing[1]];
    let (low, high) = annotated_box(volumes, slice).unwrap_or(([0, 0], [height, width]));
    let low_mm: [f64; 2] = std::array::from_fn(|axis| low[axis] as f64 * spacing[axis]);
    let high_mm: [f64; 2] = std::array::from_fn(|axis| high[axis] as f64 * spacing[axis]);
    let extent = (high_mm[0] - low_mm[0]).max(high_mm[1] - low_mm[1]);
    let side_mm = (extent * (1.0 + 2.0 * MARGIN)).min(whole[0].max(whole[1]));
    let corner_mm = std::array::from_fn(|axis| {
        let centred = (low_mm[axis] + high_mm[axis] - side_mm) / 2.0;
        let last = whole[axis] - side_mm;
        // A slice narrower than the window lies in its middle.
        if last < 0.0 { last / 2.0 } else { centred.clamp(0.0, last) }
    });
    Window { corner_mm, side_mm }
}

/// The window that shows a whole slice.
pub(super) fn whole(volumes: &Volumes<'_>) -> Window {
    let [_, height, width] = volumes.shape;
    let [height_mm, width_mm] =
        [height as f64 * volumes.spacing_mm[1], width as f64 * volumes.spacing_mm[2]];
    let side_mm = height_mm.max(width_mm);
    // A slice narrower than the window lies in its middle.
    let corner_mm = [(height_mm - side_mm) / 2.0, (width_mm - side_mm) / 2.0];
    Window { corner_mm, side_mm }
}

/// First and one past last `[y, x]` of all annotated pixels of a slice.
fn annotated_box(volumes: &Volumes<'_>, slice: usize) -> Option<([usize; 2], [usize; 2])> {
    let [_, height, width] = volumes.shape;
    let area = height * width;
    let mut found: Option<([usize; 2], [usize; 2])> = None;
    for labels in [volumes.reference, Some(volumes.prediction)].into_iter().flatten() {
        let pixels = &labels[slice * area..(slice + 1) * area];
        for (index, _) in pixels.iter().enumerate().filter(|&(_, &class)| class > 0) {
            let at = [index / width, index % width];
            let (low, high) = found.get_or_insert((at, [0, 0]));
            for axis in 0..2 {
                low[axis] = low[axis].min(at[axis]);
                high[axis] = high[axis].max(at[axis] + 1);
            }
        }
    }
    found
}
