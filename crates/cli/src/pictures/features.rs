//! Feature maps beside their slice, and affinities of the modalities beside each other.

use duomo_train::{AffinityMatrices, ClassMap, ExampleMaps};
use image::imageops::{flip_horizontal_in_place, flip_vertical_in_place};
use image::{Rgb, RgbImage};

use super::canvas::{TEXT_HEIGHT, blank, fill, paste, stack, text_width, write};
use super::heat::{diverging, picture, rising};
use super::palette::{QUIET, TEXT, blend, class_colour, to_byte};
use super::view::{reversed_in_plane, slice_name};
use super::{GAP, legend};

/// Side of a panel in pixels.
const SIDE: u32 = 256;

/// Opacity of a label's outline.
const OUTLINE: f32 = 0.9;

/// Fig. 2: of each modality a slice with its labels, and per class the map that is most specific to it.
///
/// `classes` are the names of all classes, background first.
pub(crate) fn feature_maps(examples: &[ExampleMaps], classes: &[String]) -> RgbImage {
    let widest = examples.iter().map(|example| 1 + example.maps.len()).max().unwrap_or(1);
    let width = row_width(widest);
    let mut parts = Vec::new();
    for example in examples {
        let caption = format!(
            "{}: {}  {}  features of group {}",
            example.modality,
            example.patient,
            slice_name(example.plane, example.slice, example.slices),
            example.group
        );
        let mut panels = vec![("labels".to_owned(), turned(labelled(example), example))];
        panels.extend(example.maps.iter().map(|map| {
            let title = format!("{} {:.2}", classes[map.class], map.balanced_share);
            (title, turned(mapped(map, example), example))
        }));
        parts.push(titled_row(&caption, &panels, width));
    }
    parts.push(scale_row("0", "brightest 1 %", width, rising));
    parts.extend(legend(&classes[1..], &[], width));
    let note = "numbers: balanced share of energy inside the class";
    let mut last = blank(width, TEXT_HEIGHT + GAP);
    write(&mut last, [GAP, 0], note, QUIET);
    parts.push(last);
    stack(&parts)
}

/// Per class the affinity of each modality; channels are in the order of [`AffinityMatrices`].
pub(crate) fn affinities(
    matrices: &[AffinityMatrices],
    (l, k): (usize, usize),
    classes: &[String],
) -> RgbImage {
    let width = row_width(classes.len());
    let mut parts = Vec::new();
    for of_modality in matrices {
        let caption = format!(
            "{}: affinity of group {l} (rows) and group {k} (columns)",
            of_modality.modality
        );
        let panel = |values: &Option<Vec<f32>>| match values {
            Some(values) => picture(values, of_modality.shape, SIDE, diverging),
            None => blank(SIDE, SIDE),
        };
        let panels: Vec<(String, RgbImage)> =
            classes.iter().cloned().zip(of_modality.classes.iter().map(panel)).collect();
        parts.push(titled_row(&caption, &panels, width));
    }
    parts.push(scale_row("cosine -1", "1", width, |share| diverging(2.0 * share - 1.0)));
    let mut last = blank(width, TEXT_HEIGHT + GAP);
    let note = "channels: by best class, then by balanced share, alike in all modalities";
    write(&mut last, [GAP, 0], note, QUIET);
    parts.push(last);
    stack(&parts)
}

fn row_width(panels: usize) -> u32 {
    GAP + u32::try_from(panels).unwrap_or(1) * (SIDE + GAP)
}

fn titled_row(caption: &str, panels: &[(String, RgbImage)], width: u32) -> RgbImage {
    let line = TEXT_HEIGHT + GAP / 2;
    let mut row = blank(width, GAP + 2 * line + SIDE + GAP / 2);
    write(&mut row, [GAP, GAP], caption, TEXT);
    for ((title, panel), left) in panels.iter().zip((GAP..).step_by((SIDE + GAP) as usize)) {
        write(&mut row, [left, GAP + line], title, QUIET);
        paste(&mut row, panel, [left, GAP + 2 * line]);
    }
    row
}

/// What the colours mean, from the least to the most.
fn scale_row(low: &str, high: &str, width: u32, colour: impl Fn(f32) -> Rgb<u8>) -> RgbImage {
    let mut row = blank(width, TEXT_HEIGHT + 2 * GAP);
    write(&mut row, [GAP, GAP / 2], low, TEXT);
    let left = GAP + text_width(low) + GAP / 2;
    for x in 0..SIDE {
        let colour = colour(x as f32 / (SIDE - 1) as f32);
        fill(&mut row, [left + x, GAP / 2], [1, TEXT_HEIGHT], colour);
    }
    write(&mut row, [left + SIDE + GAP / 2, GAP / 2], high, TEXT);
    row
}

/// A panel the way round in which all pictures show a slice.
fn turned(mut panel: RgbImage, example: &ExampleMaps) -> RgbImage {
    let [rows, columns] = reversed_in_plane(&example.affine, example.plane);
    if rows {
        flip_vertical_in_place(&mut panel);
    }
    if columns {
        flip_horizontal_in_place(&mut panel);
    }
    panel
}

/// The slice in grey with its labels outlined.
fn labelled(example: &ExampleMaps) -> RgbImage {
    let mut sorted = example.image.clone();
    sorted.sort_by(f32::total_cmp);
    let last = sorted.len() - 1;
    let (low, high) = (sorted[last / 100], sorted[last - last / 100]);
    let scale = if high > low { 255.0 / (high - low) } else { 0.0 };
    let shape = [example.side; 2];
    let grey =
        picture(&example.image, shape, SIDE, |value| Rgb([to_byte((value - low) * scale); 3]));
    outlined(grey, example, class_colour)
}

/// Magnitudes of a map between 0 and their 99th percentile, with the outline of its class.
fn mapped(map: &ClassMap, example: &ExampleMaps) -> RgbImage {
    let magnitudes: Vec<f32> = map.values.iter().map(|value| value.abs()).collect();
    let mut sorted = magnitudes.clone();
    sorted.sort_by(f32::total_cmp);
    let top = sorted[(sorted.len() - 1) * 99 / 100].max(f32::MIN_POSITIVE);
    let heat = picture(&magnitudes, [map.side; 2], SIDE, |value| rising(value / top));
    outlined(heat, example, |class| {
        if usize::from(class) == map.class { Rgb([255, 255, 255]) } else { class_colour(class) }
    })
}

/// `panel` with a line in each class's colour where its region ends.
fn outlined(mut panel: RgbImage, example: &ExampleMaps, ink: impl Fn(u8) -> Rgb<u8>) -> RgbImage {
    let side = example.side;
    let class_at = |x: u32, y: u32| {
        let place = |at: u32| at as usize * side / SIDE as usize;
        example.labels.get(place(y) * side + place(x)).copied().unwrap_or(0)
    };
    for (x, y) in (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y))) {
        let class = class_at(x, y);
        let next = [(x.saturating_sub(2), y), (x, y.saturating_sub(2))];
        let beyond = [((x + 2).min(SIDE - 1), y), (x, (y + 2).min(SIDE - 1))];
        let ends = next.into_iter().chain(beyond).any(|(x, y)| class_at(x, y) != class);
        if class > 0 && ends {
            let under = panel[(x, y)];
            panel[(x, y)] = blend(under, ink(class), OUTLINE);
        }
    }
    panel
}

#[cfg(test)]
mod tests {
    use duomo_data::Plane;

    use super::super::palette::BACKGROUND;
    use super::*;

    fn example() -> ExampleMaps {
        let labels = (0..64).map(|pixel| u8::from(pixel % 8 > 3)).collect();
        let map = ClassMap {
            class: 1,
            channel: 0,
            balanced_share: 0.9,
            side: 2,
            values: vec![0.0, 1.0, 0.0, -1.0],
        };
        ExampleMaps {
            modality: "LGE".to_owned(),
            patient: "p1".to_owned(),
            slice: 0,
            slices: 3,
            plane: Plane::Stored,
            affine: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
            side: 8,
            image: (0..64u8).map(f32::from).collect(),
            labels,
            group: 5,
            maps: vec![map],
        }
    }

    #[test]
    fn a_map_is_bright_where_its_magnitude_is_large() {
        let example = example();

        let panel = mapped(&example.maps[0], &example);

        assert_eq!((panel[(10, 10)], panel[(200, 60)]), (rising(0.0), rising(1.0)));
        // Both signs count as bright, and the class is outlined.
        assert_eq!(panel[(200, 200)], rising(1.0));
        assert_ne!(panel[(128, 100)], rising(1.0));
    }

    #[test]
    fn maps_are_turned_like_cases() {
        let names = ["background".to_owned(), "LV".to_owned()];
        let towards_left_and_back =
            [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let panels = |plane, affine| {
            let example = ExampleMaps { plane, affine, ..example() };
            let picture = feature_maps(&[example], &names);
            let top = GAP + 2 * (TEXT_HEIGHT + GAP / 2);
            let panel =
                |left| image::imageops::crop_imm(&picture, left, top, SIDE, SIDE).to_image();
            [panel(GAP), panel(2 * GAP + SIDE)]
        };

        let as_stored = panels(Plane::Stored, towards_left_and_back);
        let turned = panels(Plane::Stored, example().affine);
        let coronal = panels(Plane::Coronal, towards_left_and_back);

        assert_eq!(as_stored, [labelled(&example()), mapped(&example().maps[0], &example())]);
        assert_eq!(turned, as_stored.each_ref().map(image::imageops::rotate180));
        assert_eq!(coronal, turned);
    }

    #[test]
    fn rows_are_modalities_and_columns_classes() {
        let names = ["background".to_owned(), "LV".to_owned()];
        let matrices = |modality: &str| AffinityMatrices {
            modality: modality.to_owned(),
            shape: [1, 2],
            classes: vec![Some(vec![1.0, -1.0]), None],
        };

        let two = affinities(&[matrices("LGE"), matrices("bSSFP")], (5, 6), &names);
        let one = affinities(&[matrices("LGE")], (5, 6), &names);
        let maps = feature_maps(&[example()], &names);

        assert_eq!((two.width(), maps.width()), (row_width(2), row_width(2)));
        assert!(two.height() > one.height() + SIDE);
        let top = GAP + 2 * (TEXT_HEIGHT + GAP / 2);
        assert_eq!(two[(GAP, top)], diverging(1.0));
        assert_eq!(two[(GAP + SIDE - 1, top)], diverging(-1.0));
        // A class that the slices lack leaves its panel empty.
        assert_eq!(two[(2 * GAP + SIDE, top)], BACKGROUND);
    }
}
