//! Connected sets of voxels.

use std::mem;

/// Hands every connected set of voxels to `take`, as their places in memory; the first place of each
/// is its lowest, and sets come in the order of these.
///
/// Voxels connect across faces (6-connectivity).
///
/// # Shapes
///
/// - `mask`: `[D, H, W]` of `shape`
///
/// # Panics
///
/// If `mask` has another length.
///
/// # Examples
///
/// ```
/// let mask = vec![true, true, false, true];
/// let mut sizes = Vec::new();
/// duomo_data::for_each_component(mask, [1, 1, 4], |voxels| sizes.push(voxels.len()));
/// assert_eq!(sizes, [2, 1]);
/// ```
pub fn for_each_component(
    mut mask: Vec<bool>,
    shape: [usize; 3],
    mut take: impl FnMut(Vec<usize>),
) {
    assert_eq!(
        mask.len(),
        shape.iter().product::<usize>(),
        "one value for each voxel of {shape:?}"
    );
    for start in 0..mask.len() {
        if mask[start] {
            take(flood(&mut mask, start, shape));
        }
    }
}

/// Takes everything connected with `start` out of `unseen`.
fn flood(unseen: &mut [bool], start: usize, [_, height, width]: [usize; 3]) -> Vec<usize> {
    unseen[start] = false;
    let mut component = vec![start];
    let mut next = 0;
    while let Some(&at) = component.get(next) {
        next += 1;
        let (row, column) = (at / width % height, at % width);
        let neighbours = [
            (column > 0).then(|| at - 1),
            (column + 1 < width).then(|| at + 1),
            (row > 0).then(|| at - width),
            (row + 1 < height).then(|| at + width),
            at.checked_sub(height * width),
            Some(at + height * width).filter(|&above| above < unseen.len()),
        ];
        for neighbour in neighbours.into_iter().flatten() {
            if mem::take(&mut unseen[neighbour]) {
                component.push(neighbour);
            }
        }
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every voxel's component by the definition: labels spread until nothing changes.
    fn by_definition(mask: &[bool], [depth, height, width]: [usize; 3]) -> Vec<Option<usize>> {
        let mut label: Vec<_> = (0..mask.len()).map(|at| mask[at].then_some(at)).collect();
        let at = |d: usize, h: usize, w: usize| (d * height + h) * width + w;
        loop {
            let before = label.clone();
            let mut join = |one: usize, other: usize| {
                if let (Some(a), Some(b)) = (label[one], label[other]) {
                    label[one] = Some(a.min(b));
                    label[other] = Some(a.min(b));
                }
            };
            for d in 0..depth {
                for h in 0..height {
                    for w in 0..width {
                        if d + 1 < depth {
                            join(at(d, h, w), at(d + 1, h, w));
                        }
                        if h + 1 < height {
                            join(at(d, h, w), at(d, h + 1, w));
                        }
                        if w + 1 < width {
                            join(at(d, h, w), at(d, h, w + 1));
                        }
                    }
                }
            }
            if label == before {
                return label;
            }
        }
    }

    #[test]
    fn components_are_those_of_the_definition() {
        let mut state = 7u32;
        for shape in [[1, 1, 1], [1, 5, 9], [4, 1, 7], [3, 6, 5], [5, 4, 1]] {
            for share in [2, 3, 5] {
                let mut draw = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    !(state >> 16).is_multiple_of(share)
                };
                let mask: Vec<bool> = (0..shape.iter().product()).map(|_| draw()).collect();

                let mut label = vec![None; mask.len()];
                for_each_component(mask.clone(), shape, |voxels| {
                    for &voxel in &voxels {
                        label[voxel] = Some(voxels[0]);
                    }
                });

                assert_eq!(label, by_definition(&mask, shape), "{shape:?}");
            }
        }
    }
}
