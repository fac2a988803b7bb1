use expect_test::expect;

use super::{Architecture, Head, Init, Normalization};

#[test]
fn the_paper_has_39_million_shared_kernel_weights_and_20192_norm_parameters_per_modality() {
    for modalities in 1..=3 {
        let paper = Architecture::paper(5, modalities);

        assert_eq!(paper.count_kernels(), 39_302_168);
        assert_eq!(paper.count_norm_per_modality(), 20_192);
    }
}

#[test]
fn the_transposed_head_has_33_million_kernel_weights() {
    let transposed = Architecture { head: Head::Transposed, ..Architecture::paper(5, 2) };

    assert_eq!(transposed.count_kernels(), 32_748_568);
}

#[test]
fn a_shared_norm_counts_once() {
    let shared = Architecture { normalization: Normalization::Shared, ..Architecture::paper(5, 2) };

    assert_eq!(shared.count_norm_per_modality(), 20_192);
    assert_eq!((shared.norm_rows(), shared.norm_row(1)), (1, 0));
}

#[test]
fn fewer_blocks_make_a_smaller_network_with_the_same_widths() {
    let paper = Architecture::paper(5, 2);
    let shallow = Architecture { blocks: [1; 8], ..paper.clone() };

    // Each of groups 3 to 8 loses its second block: 2 · 9 · channels².
    let channels = [64, 128, 256, 256, 512, 512];
    let lost: usize = channels.iter().map(|c| 2 * 9 * c * c).sum();
    assert_eq!(paper.count_kernels() - shallow.count_kernels(), lost);
}

#[test]
fn every_key_outside_its_domain_is_named() {
    let paper = || Architecture::paper(5, 2);
    let broken = [
        Architecture { width: 0, ..paper() },
        Architecture { input_slices: 2, ..paper() },
        Architecture { classes: 1, ..paper() },
        Architecture { modalities: 0, ..paper() },
        Architecture { blocks: [1, 1, 0, 1, 1, 1, 1, 1], ..paper() },
        Architecture { dropout: 1.0, ..paper() },
    ];

    let messages: Vec<String> =
        broken.iter().map(|broken| broken.validate().unwrap_err().to_string()).collect();

    expect![[r"
        `width` of the architecture must be at least 1, got 0
        `input_slices` of the architecture must be odd (neighbours on both sides), got 2
        `classes` of the architecture must be in 2..=255, background included, got 1
        `modalities` of the architecture must be at least 1, got 0
        `blocks` of the architecture must be at least 1 in every group, got [1, 1, 0, 1, 1, 1, 1, 1]
        `dropout` of the architecture must be in 0..1, got 1"]]
    .assert_eq(&messages.join("\n"));
    assert!(paper().validate().is_ok());
    assert!(Architecture { dropout: f64::NAN, ..paper() }.validate().is_err());
}

#[test]
fn text_and_back_is_the_same_architecture() {
    let original = Architecture { init: Init::TruncatedNormal, ..Architecture::paper(5, 2) };

    let text = serde_json::to_string(&original).unwrap();

    assert_eq!(serde_json::from_str::<Architecture>(&text).unwrap(), original);
    assert!(text.contains(r#""head":"pixel-shuffle","normalization":"per-modality""#), "{text}");
}

#[test]
fn an_unknown_key_is_an_error() {
    let text = serde_json::to_string(&Architecture::paper(5, 2)).unwrap();

    let error = serde_json::from_str::<Architecture>(&text.replace("width", "widht")).unwrap_err();

    assert!(error.to_string().starts_with("unknown field `widht`"), "{error}");
}
