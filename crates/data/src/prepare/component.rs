//! The connected part of a prediction that looks most like the structures that were sought.

use crate::components::for_each_component;

/// Returns the places of the connected set of voxels with the largest product, over the classes
/// besides 0, of one plus the class's voxels; of equal ones the first.
///
/// So a set counts for holding much of every class: neither many voxels of one class alone nor a
/// speck of each is as good. Voxels connect across faces, whatever their classes.
///
/// # Shapes
///
/// - `classes`: `[slices, side, side]`
pub(super) fn main_component(classes: &[u8], side: usize) -> Vec<usize> {
    let mask: Vec<bool> = classes.iter().map(|&class| class != 0).collect();
    let mut best = (0.0, Vec::new());
    for_each_component(mask, [classes.len() / (side * side), side, side], |component| {
        let product = log_product(component.iter().map(|&at| classes[at]));
        if product > best.0 {
            best = (product, component);
        }
    });
    best.1
}

/// The logarithm of the product of one plus every class's voxels.
fn log_product(classes: impl Iterator<Item = u8>) -> f64 {
    let mut voxels = [0u32; 256];
    classes.for_each(|class| voxels[usize::from(class)] += 1);
    voxels.iter().map(|&voxels| f64::from(voxels).ln_1p()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voxels_connect_across_faces_and_slices_but_not_across_edges_of_the_image() {
        #[rustfmt::skip]
        let classes = [
            1, 0, 1, // two parts: the corner, and the column that goes on in the next slice
            0, 0, 1,
            1, 0, 0, // beside the column's end in memory, not in the image

            0, 0, 1,
            0, 1, 0, // touches the column only by an edge
            0, 0, 0,
        ];

        let mut component = main_component(&classes, 3);

        component.sort_unstable();
        assert_eq!(component, [2, 5, 11]);
    }

    #[test]
    fn much_of_every_class_wins_over_more_voxels() {
        #[rustfmt::skip]
        let classes = [
            1, 1, 1,
            0, 0, 0,
            2, 1, 1,
        ];

        assert_eq!(main_component(&classes, 3), [6, 7, 8]);
    }

    #[test]
    fn nothing_has_no_main_part() {
        assert_eq!(main_component(&[0; 9], 3), [0usize; 0]);
    }
}
