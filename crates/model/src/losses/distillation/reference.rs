//! The loss as the equations of the module write it, class by class.

/// Loss of two modalities' logits `[n, C]` and labels `[n]`.
pub(super) fn pair(logits: [&[f64]; 2], labels: [&[usize]; 2], classes: usize, t: f64) -> f64 {
    let mut divergences = Vec::new();
    for class in 0..classes {
        let [one, two] = [0, 1].map(|m| softened(logits[m], labels[m], class, classes, t));
        if let (Some(one), Some(two)) = (one, two) {
            divergences.push(0.5 * (kl(&one, &two) + kl(&two, &one)));
        }
    }
    let present = divergences.len().max(1) as f64;
    divergences.iter().sum::<f64>() / present
}

/// `q_i`, or `None` for a class without pixels.
fn softened(
    logits: &[f64],
    labels: &[usize],
    class: usize,
    classes: usize,
    temperature: f64,
) -> Option<Vec<f64>> {
    let pixels = labels.iter().filter(|&&label| label == class).count();
    if pixels == 0 {
        return None;
    }
    let of_class = || logits.chunks(classes).zip(labels).filter(|(_, label)| **label == class);
    let mean = |j: usize| of_class().map(|(z, _)| z[j]).sum::<f64>() / (pixels as f64 + 1e-6);
    let exponentials: Vec<f64> = (0..classes).map(|j| (mean(j) / temperature).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    Some(exponentials.into_iter().map(|value| value / sum).collect())
}

fn kl(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum()
}
