//! How large the segmented structures are.

use duomo_data::{Geometry, LabelClass, Role};
use serde::{Deserialize, Serialize};

/// Density of heart muscle, in grams per millilitre, as cardiac MR reports use it.
const MYOCARDIUM_G_PER_ML: f64 = 1.05;

/// The size of one structure.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StructureVolume {
    /// Name of the class.
    pub name: String,
    /// Voxels of the class.
    pub voxels: usize,
    /// Volume in millilitres.
    pub ml: f64,
}

/// A figure about the heart that clinicians use.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct HeartFigure {
    /// What it is, the unit last: `lv_cavity_ml`, `rv_cavity_ml` or `lv_myocardium_g`.
    pub name: String,
    /// The value, in the unit that the name ends in.
    pub value: f64,
}

/// Returns the volume of every foreground class, in the order of `labels`.
///
/// ```text
/// ml = voxels · |det A| / 1000
/// ```
///
/// with `A` the 3×3 part of the affine: the voxel's volume also where a gantry was tilted.
///
/// # Shapes
///
/// - `classes`: class indices, `[D, H, W]` of `geometry`
///
/// # Panics
///
/// If an index has no class.
pub fn structure_volumes(
    labels: &[LabelClass],
    classes: &[u8],
    geometry: &Geometry,
) -> Vec<StructureVolume> {
    let mut voxels = vec![0; labels.len() + 1];
    for &class in classes {
        voxels[usize::from(class)] += 1;
    }
    let voxel_ml = voxel_mm3(geometry) / 1000.0;
    let volumes = labels.iter().zip(&voxels[1..]).map(|(label, &voxels)| StructureVolume {
        name: label.name.clone(),
        voxels,
        ml: voxels as f64 * voxel_ml,
    });
    volumes.collect()
}

/// Returns what the volumes say about the heart, for the classes whose role the model knows.
///
/// Each figure is that of the one frame that was segmented. An ejection fraction needs two of them,
/// end-diastole and end-systole, and cannot follow from one.
pub fn heart_figures(labels: &[LabelClass], volumes: &[StructureVolume]) -> Vec<HeartFigure> {
    let ml = |role: Role| {
        let mine = labels.iter().zip(volumes).filter(|(label, _)| label.role == Some(role));
        mine.map(|(_, volume)| volume.ml).reduce(|sum, ml| sum + ml)
    };
    let figures = [
        ("lv_cavity_ml", ml(Role::LvCavity)),
        ("rv_cavity_ml", ml(Role::RvCavity)),
        ("lv_myocardium_g", ml(Role::LvMyocardium).map(|ml| ml * MYOCARDIUM_G_PER_ML)),
    ];
    let known = figures.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.map(|(name, value)| HeartFigure { name: name.to_owned(), value }).collect()
}

/// Returns the volume of a voxel, in cubic millimetres: `|det A|` of the affine's 3×3 part.
pub fn voxel_mm3(geometry: &Geometry) -> f64 {
    let [a, b, c] = geometry.affine;
    let minor = |row: usize, column: usize| b[row] * c[column] - b[column] * c[row];
    (a[0] * minor(1, 2) - a[1] * minor(0, 2) + a[2] * minor(0, 1)).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, role: Option<Role>) -> LabelClass {
        LabelClass { name: name.to_owned(), values: vec![1], role }
    }

    #[test]
    fn volumes_are_voxels_times_their_size_whatever_the_tilt() {
        let labels = [label("LV", None), label("RV", None)];
        let classes = [0, 1, 1, 2, 1, 0, 0, 0];
        let upright = Geometry::from_spacing([2, 2, 2], [10.0, 2.0, 1.0]);
        let mut affine = upright.affine;
        affine[1][2] = 7.0; // every slice is shifted: the edge is longer, the voxel no larger
        let tilted = Geometry::from_affine([2, 2, 2], affine);

        for geometry in [upright, tilted] {
            let volumes = structure_volumes(&labels, &classes, &geometry);

            assert_eq!(volumes[0].voxels, 3);
            assert!((volumes[0].ml - 0.06).abs() < 1e-12, "{volumes:?}");
            assert!((volumes[1].ml - 0.02).abs() < 1e-12, "{volumes:?}");
        }
    }

    #[test]
    fn heart_figures_follow_roles_and_never_names() {
        let volume = |name: &str, ml| StructureVolume { name: name.to_owned(), voxels: 1, ml };
        let labels =
            [label("RV", None), label("muscle", Some(Role::LvMyocardium)), label("x", None)];
        let volumes = [volume("RV", 90.0), volume("muscle", 100.0), volume("x", 1.0)];

        let figures = heart_figures(&labels, &volumes);

        assert_eq!(figures.len(), 1);
        assert_eq!(figures[0].name, "lv_myocardium_g");
        assert!((figures[0].value - 105.0).abs() < 1e-9);
    }

    #[test]
    fn the_built_in_data_sets_say_which_structure_is_which() {
        let roles = |dataset: &str| -> Vec<Option<Role>> {
            let dataset = duomo_data::Dataset::load(dataset).unwrap();
            dataset.labels.iter().map(|label| label.role).collect()
        };

        let (cavity, muscle) = (Some(Role::LvCavity), Some(Role::LvMyocardium));
        assert_eq!(roles("mscmr"), [cavity, muscle, Some(Role::RvCavity)]);
        assert_eq!(roles("mmwhs"), [muscle, None, cavity, None]);
    }
}
