//! The losses as the equations of the module write them, pixel by pixel in `f64`.

/// Dice and cross-entropy of logits `[pixels, C]`.
pub(super) fn segmentation(logits: &[f64], labels: &[u8], classes: usize) -> [f64; 2] {
    let probabilities: Vec<Vec<f64>> = logits.chunks(classes).map(softmax).collect();
    let pixels = labels.len() as f64;
    let (mut dice, mut cross_entropy) = (1.0, 0.0);
    for class in 0..classes {
        let of_class = || probabilities.iter().map(move |p| p[class]).zip(labels);
        let inside = || of_class().filter(|&(_, &label)| usize::from(label) == class);
        let count = inside().count() as f64;
        let squares: f64 = of_class().map(|(p, _)| p * p).sum();
        let overlap: f64 = inside().map(|(p, _)| p).sum();
        dice -= 2.0 * overlap / (squares + count + 1e-7) / classes as f64;
        let logarithms: f64 = inside().map(|(p, _)| p.clamp(0.005, 1.0).ln()).sum();
        cross_entropy -= (1.0 - count / pixels) * logarithms / pixels;
    }
    [dice, cross_entropy]
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|z| z.exp()).sum();
    logits.iter().map(|z| z.exp() / sum).collect()
}

/// The mean logits and the pixels of every class, `[C, C + 1]`.
pub(super) fn class_means(logits: &[f64], labels: &[u8], classes: usize) -> Vec<f64> {
    let of = |class: usize| {
        let pixels = logits.chunks(classes).zip(labels);
        let inside = pixels.filter(move |&(_, &label)| usize::from(label) == class);
        let count = inside.clone().count() as f64;
        let mean = move |j: usize| inside.clone().map(|(z, _)| z[j]).sum::<f64>() / (count + 1e-6);
        (0..classes).map(mean).chain([count]).collect::<Vec<f64>>()
    };
    (0..classes).flat_map(of).collect()
}
