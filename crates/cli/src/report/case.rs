//! A case, slice by slice, behind a slider.

use std::fmt::Write as _;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use duomo_data::Dataset;
use duomo_train::CaseScores;

use crate::loaded_case::LoadedCase;
use crate::pictures::{Volumes, colours, png, strip, telling_slice};
use crate::table::{html_escaped, number};

/// Side of a panel in pixels.
const SIDE: u32 = 180;

/// Most slices of a case; of more, evenly spaced ones are shown.
const SLICES: usize = 8;

/// What the colours mean.
pub(super) fn legend(classes: &[&str]) -> String {
    let mut text = String::from("<p class=\"legend\">Reference, prediction, difference. ");
    for (name, colour) in colours(classes) {
        let name = html_escaped(&name);
        let _ = write!(text, "<span><i style=\"background:{colour}\"></i>{name}</span> ");
    }
    text.push_str("</p>\n");
    text
}

/// The case's annotated slices, of which one shows at a time: the telling one first.
///
/// # Errors
///
/// A file of the case that can no longer be read.
pub(super) fn figure(case: &CaseScores, dataset: &Dataset) -> Result<String> {
    let loaded = LoadedCase::read(case, dataset)?;
    let volumes = loaded.volumes();
    let first = telling_slice(&volumes);
    let slices = shown_slices(&volumes, first);
    let at = slices.iter().position(|&slice| slice == first).unwrap_or(0);
    let title =
        format!("{} {}: mean Dice {}", case.modality, case.case, number(case.mean_dice(), 3));
    let mut text = String::from("<figure>\n");
    for (index, &slice) in slices.iter().enumerate() {
        let picture = STANDARD.encode(png(&strip(&volumes, slice, SIDE))?);
        let hidden = if index == at { "" } else { " hidden" };
        let _ = writeln!(
            text,
            "<img alt=\"{}\" src=\"data:image/png;base64,{picture}\"{hidden}>",
            loaded.slice_name(slice)
        );
    }
    let _ = write!(
        text,
        "<input type=\"range\" min=\"0\" max=\"{}\" value=\"{at}\" aria-label=\"slice\">\n\
         <figcaption>{}, <output></output></figcaption>\n</figure>\n",
        slices.len().saturating_sub(1),
        html_escaped(&title)
    );
    Ok(text)
}

/// At most [`SLICES`] of the slices with an annotation or a prediction, `telling` among them.
fn shown_slices(volumes: &Volumes<'_>, telling: usize) -> Vec<usize> {
    let [depth, height, width] = volumes.shape;
    let area = height * width;
    let has = |labels: &[u8], slice: usize| {
        labels[slice * area..(slice + 1) * area].iter().any(|&class| class > 0)
    };
    let reference = volumes.reference.unwrap_or_default();
    let annotated: Vec<usize> = (0..depth)
        .filter(|&slice| {
            (!reference.is_empty() && has(reference, slice)) || has(volumes.prediction, slice)
        })
        .collect();
    let count = annotated.len().min(SLICES);
    let mut shown: Vec<usize> =
        (0..count).map(|index| annotated[index * annotated.len() / count]).collect();
    shown.push(telling);
    shown.sort_unstable();
    shown.dedup();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volumes(prediction: &[u8]) -> Volumes<'_> {
        Volumes {
            shape: [prediction.len(), 1, 1],
            spacing_mm: [1.0; 3],
            reversed: [false; 2],
            image: None,
            reference: None,
            prediction,
        }
    }

    #[test]
    fn slices_without_a_class_are_left_out_but_for_the_telling_one() {
        assert_eq!(shown_slices(&volumes(&[0, 1, 0, 2, 0]), 1), [1, 3]);
        assert_eq!(shown_slices(&volumes(&[0, 0, 0]), 1), [1]);
    }

    #[test]
    fn of_many_slices_some_are_shown() {
        let shown = shown_slices(&volumes(&[1; 95]), 94);

        assert_eq!(shown.len(), SLICES + 1);
        assert_eq!((shown[0], shown[SLICES]), (0, 94));
    }
}
