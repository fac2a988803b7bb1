//! The losses as the equations of the module write them, pixel by pixel.

/// Dice loss and cross-entropy of logits `[n, C]` and labels `[n]`.
pub(super) fn losses(logits: &[f64], labels: &[usize], classes: usize) -> [f64; 2] {
    let probabilities: Vec<Vec<f64>> = logits.chunks(classes).map(softmax).collect();
    let n = labels.len() as f64;
    let is = |pixel: usize, class: usize| f64::from(u8::from(labels[pixel] == class));
    let sum = |of: &dyn Fn(usize) -> f64| (0..labels.len()).map(of).sum::<f64>();

    let mut dice = 1.0;
    let mut cross_entropy = 0.0;
    for c in 0..classes {
        let p: Vec<f64> = probabilities.iter().map(|of_pixel| of_pixel[c]).collect();
        let overlap = sum(&|x| p[x] * is(x, c));
        let squares = sum(&|x| p[x].powi(2));
        let pixels = sum(&|x| is(x, c));
        dice -= 2.0 * overlap / (squares + pixels + 1e-7) / classes as f64;
        let weight = 1.0 - pixels / n;
        let logarithms = sum(&|x| is(x, c) * p[x].clamp(0.005, 1.0).ln());
        cross_entropy -= weight * logarithms / n;
    }
    [dice, cross_entropy]
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|z| z.exp()).sum();
    logits.iter().map(|z| z.exp() / sum).collect()
}
