//! Two passes over the pixels: one for the totals of the batch, one for the gradient.

use candle_core::WithDType;
use rayon::prelude::*;

use crate::losses::CHUNK;
use crate::losses::softmax::softmax;

/// Pixels whose probabilities are computed at a time.
const BLOCK: usize = 256;

/// Probabilities of the true class below this are clipped.
const PROBABILITY_MIN: f64 = 0.005;

/// Keeps Dice defined for a class without pixels and without probability.
const DICE_EPSILON: f64 = 1e-7;

/// Sums over all pixels of a batch, one number per class.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    /// `Σ p_c²`.
    squares: Vec<f64>,
    /// `Σ p_c g_c`.
    overlap: Vec<f64>,
    /// `Σ ln clip(p_c)` over the pixels of class `c`.
    logarithms: Vec<f64>,
    /// `n_c`.
    pixels: Vec<f64>,
}

impl Totals {
    fn zero(classes: usize) -> Self {
        let zeros = || vec![0.0; classes];
        Self { squares: zeros(), overlap: zeros(), logarithms: zeros(), pixels: zeros() }
    }

    fn add(mut self, other: &Self) -> Self {
        let mine = [&mut self.squares, &mut self.overlap, &mut self.logarithms, &mut self.pixels];
        let theirs = [&other.squares, &other.overlap, &other.logarithms, &other.pixels];
        for (mine, theirs) in mine.into_iter().zip(theirs) {
            mine.iter_mut().zip(theirs).for_each(|(sum, value)| *sum += value);
        }
        self
    }

    fn add_pixel(&mut self, probabilities: &[f64], class: usize) {
        for (sum, p) in self.squares.iter_mut().zip(probabilities) {
            *sum += p * p;
        }
        let p = probabilities[class];
        self.overlap[class] += p;
        self.logarithms[class] += p.clamp(PROBABILITY_MIN, 1.0).ln();
        self.pixels[class] += 1.0;
    }

    fn classes(&self) -> usize {
        self.pixels.len()
    }

    fn all_pixels(&self) -> f64 {
        self.pixels.iter().sum()
    }

    /// `D_c`.
    fn denominator(&self, class: usize) -> f64 {
        self.squares[class] + self.pixels[class] + DICE_EPSILON
    }

    /// `w_c`.
    fn weight(&self, class: usize) -> f64 {
        1.0 - self.pixels[class] / self.all_pixels()
    }

    pub(super) fn dice(&self) -> f64 {
        let ratios = (0..self.classes()).map(|c| 2.0 * self.overlap[c] / self.denominator(c));
        1.0 - ratios.sum::<f64>() / self.classes() as f64
    }

    pub(super) fn cross_entropy(&self) -> f64 {
        let weighted = (0..self.classes()).map(|c| self.weight(c) * self.logarithms[c]);
        -weighted.sum::<f64>() / self.all_pixels()
    }
}

/// Adds up the batch; logits `[n, C]`, labels `[n]`.
pub(super) fn totals<T: WithDType>(logits: &[T], labels: &[u8], classes: usize) -> Totals {
    let of_chunk = |(logits, labels): (&[T], &[u8])| {
        let mut totals = Totals::zero(classes);
        let mut memory = vec![0.0; BLOCK * classes];
        for (logits, labels) in logits.chunks(BLOCK * classes).zip(labels.chunks(BLOCK)) {
            let probabilities = &mut memory[..logits.len()];
            softmax(logits, classes, probabilities);
            for (probabilities, &label) in probabilities.chunks_exact(classes).zip(labels) {
                totals.add_pixel(probabilities, usize::from(label));
            }
        }
        totals
    };
    let chunks = logits.par_chunks(CHUNK * classes).zip(labels.par_chunks(CHUNK));
    let parts: Vec<Totals> = chunks.map(of_chunk).collect();
    parts.iter().fold(Totals::zero(classes), Totals::add)
}

/// The gradient of `incoming · [dice, cross_entropy]` with respect to the logits.
pub(super) fn gradient<T: WithDType>(
    logits: &[T],
    labels: &[u8],
    totals: &Totals,
    incoming: [f64; 2],
) -> Vec<T> {
    let classes = totals.classes();
    let slopes = Slopes::new(totals, incoming);
    let mut gradient = vec![T::zero(); logits.len()];
    let chunks = gradient.par_chunks_mut(CHUNK * classes).zip(logits.par_chunks(CHUNK * classes));
    chunks.zip(labels.par_chunks(CHUNK)).for_each(|((gradient, logits), labels)| {
        let mut memory = vec![0.0; BLOCK * classes];
        let blocks = gradient.chunks_mut(BLOCK * classes).zip(logits.chunks(BLOCK * classes));
        for ((gradient, logits), labels) in blocks.zip(labels.chunks(BLOCK)) {
            let probabilities = &mut memory[..logits.len()];
            softmax(logits, classes, probabilities);
            let pixels =
                gradient.chunks_exact_mut(classes).zip(probabilities.chunks_exact(classes));
            for ((gradient, probabilities), &label) in pixels.zip(labels) {
                slopes.write(probabilities, usize::from(label), gradient);
            }
        }
    });
    gradient
}

/// What `∂L/∂p` of a pixel needs to know of the batch, one number per class.
struct Slopes {
    /// Of Dice, times `p_c`.
    per_probability: Vec<f64>,
    /// Of Dice, in pixels of the class.
    on_class: Vec<f64>,
    /// Of cross-entropy with respect to `ln p_c`, in pixels of the class.
    on_logarithm: Vec<f64>,
}

impl Slopes {
    fn new(totals: &Totals, [dice, cross_entropy]: [f64; 2]) -> Self {
        let of = |slope: &dyn Fn(usize) -> f64| (0..totals.classes()).map(slope).collect();
        let scale = -2.0 * dice / totals.classes() as f64;
        Self {
            per_probability: of(&|c| {
                -2.0 * scale * totals.overlap[c] / totals.denominator(c).powi(2)
            }),
            on_class: of(&|c| scale / totals.denominator(c)),
            on_logarithm: of(&|c| -cross_entropy * totals.weight(c) / totals.all_pixels()),
        }
    }

    /// `∂L/∂z_j = p_j (h_j − Σ_c p_c h_c)`.
    ///
    /// Cross-entropy's part is `s ([j = g] − p_j)` with `s` its slope against `ln p_g`: no division
    /// by a small probability.
    fn write<T: WithDType>(&self, probabilities: &[f64], label: usize, gradient: &mut [T]) {
        let p = probabilities[label];
        let slope = if p < PROBABILITY_MIN { 0.0 } else { self.on_logarithm[label] };
        let pairs = probabilities.iter().zip(&self.per_probability);
        let mean = pairs.map(|(p, s)| p * p * s).sum::<f64>() + p * self.on_class[label] + slope;
        for (class, (gradient, &p)) in gradient.iter_mut().zip(probabilities).enumerate() {
            *gradient = T::from_f64(p * (p * self.per_probability[class] - mean));
        }
        gradient[label] += T::from_f64(p * self.on_class[label] + slope);
    }
}
