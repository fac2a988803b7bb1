use super::view::window;
use super::*;

const SHAPE: [usize; 3] = [3, 16, 16];

/// A disc of class 1 in a ring of class 2, `shift` pixels to the right, on the middle slice.
fn disc(shift: f64) -> Vec<u8> {
    let [depth, height, width] = SHAPE;
    let mut labels = vec![0; depth * height * width];
    for (index, label) in labels[height * width..2 * height * width].iter_mut().enumerate() {
        let (y, x) = ((index / width) as f64 - 8.0, (index % width) as f64 - 8.0 - shift);
        *label = match y.hypot(x) {
            radius if radius < 2.5 => 1,
            radius if radius < 4.5 => 2,
            _ => 0,
        };
    }
    labels
}

fn volumes<'a>(reference: Option<&'a [u8]>, prediction: &'a [u8]) -> Volumes<'a> {
    Volumes {
        shape: SHAPE,
        spacing_mm: [5.0, 1.0, 1.0],
        reversed: [false; 2],
        image: None,
        reference,
        prediction,
    }
}

fn view<'a>(reference: Option<&'a [u8]>, prediction: &'a [u8]) -> CaseView<'a> {
    let volumes = volumes(reference, prediction);
    CaseView { caption: "case 1".into(), score: "Dice 0.91".into(), volumes, slice: 1 }
}

fn has(picture: &RgbImage, colour: Rgb<u8>) -> bool {
    picture.pixels().any(|pixel| *pixel == colour)
}

#[test]
fn the_slice_with_the_largest_reference_is_shown() {
    let (reference, empty) = (disc(0.0), vec![0; 3 * 256]);

    assert_eq!(telling_slice(&volumes(Some(&reference), &empty)), 1);
    assert_eq!(telling_slice(&volumes(Some(&empty), &reference)), 1);
    assert_eq!(telling_slice(&volumes(None, &empty)), 1);
}

#[test]
fn the_window_is_square_in_millimetres_and_stays_inside() {
    let reference = disc(0.0);
    let mut volumes = volumes(Some(&reference), &reference);
    volumes.spacing_mm = [5.0, 2.0, 1.0];

    let window = window(&volumes, 1);

    // Nine rows of 2 mm are the longer side; it is shown with 35 % around it, but the slice is
    // only 16 mm wide: it lies in the middle.
    assert!((window.side_mm - 18.0 * 1.7).abs() < 1e-9, "{window:?}");
    assert!(window.corner_mm[0] >= 0.0 && window.corner_mm[1] < 0.0, "{window:?}");
}

#[test]
fn equal_masks_differ_nowhere() {
    let reference = disc(0.0);

    let panels = panel::panels(&view(Some(&reference), &reference), 64);

    assert_eq!(panels.len(), 4);
    assert!(has(&panels[3].1, AGREED));
    assert!(![MISSED, SPURIOUS, CONFUSED].iter().any(|&colour| has(&panels[3].1, colour)));
}

#[test]
fn a_shifted_mask_is_missed_on_one_side_and_spurious_on_the_other() {
    let (reference, prediction) = (disc(0.0), disc(2.0));

    let panels = panel::panels(&view(Some(&reference), &prediction), 64);

    let columns = |colour| {
        let found = panels[3].1.enumerate_pixels().filter(move |(.., pixel)| **pixel == colour);
        found.map(|(x, ..)| x).collect::<Vec<_>>()
    };
    assert!(columns(MISSED).iter().max() < columns(SPURIOUS).iter().min());
    assert!(has(&panels[3].1, CONFUSED));
}

#[test]
fn without_a_reference_two_panels_remain() {
    let prediction = disc(0.0);

    let panels = panel::panels(&view(None, &prediction), 32);

    assert_eq!(
        panels.iter().map(|(title, _)| &title[..]).collect::<Vec<_>>(),
        ["image", "prediction"]
    );
}

#[test]
fn pictures_have_the_size_of_their_rows() {
    let reference = disc(0.0);
    let classes = ["LV".to_owned(), "myo".to_owned()];

    let row = Row::draw(&view(Some(&reference), &reference));
    let one = sheet(std::slice::from_ref(&row), &classes);
    let two = sheet(&[row.clone(), row], &classes);

    assert_eq!(one.width(), GAP + 4 * (PANEL + GAP));
    assert_eq!(two.width(), one.width());
    assert!(two.height() > one.height() + PANEL);
    assert!(png(&one).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn reversed_axes_turn_the_panel() {
    let reference = disc(0.0);
    let prediction = disc(3.0);
    let mut case = view(Some(&reference), &prediction);
    let before = panel::panels(&case, 48);

    case.volumes.reversed = [false, true];
    let after = panel::panels(&case, 48);

    assert_eq!(after[2].1, image::imageops::flip_horizontal(&before[2].1));
}

#[test]
fn radiologists_see_right_on_the_left_and_front_on_top() {
    let identity = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let to_left_and_back = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];

    assert_eq!(reversed_axes(&identity), [true, true]);
    assert_eq!(reversed_axes(&to_left_and_back), [false, false]);
}
