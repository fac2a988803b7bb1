//! Several opinions on every slice: of several models, of mirrored slices, or both.

use anyhow::{Result, bail, ensure};
use candle_core::Tensor;
use serde_json::Value;

use super::pixels;
use super::segmenter::Segmenter;
use crate::model_file::{Model, ModelCard};
use crate::postprocessing::PostProcessing;

/// Whether slices are also shown mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mirroring {
    /// As they are.
    #[default]
    Off,
    /// As they are, upside down, left to right, and both.
    InPlane,
}

/// The mean of the probabilities of some models, each of them also on mirrored slices if wanted.
///
/// ```text
/// P[n, c] = 1/(M·V) Σ_m Σ_v v⁻¹ softmax(L_m(v(image)))[n, c]
/// ```
///
/// with models `m` and views `v`. Its logits are `ln P`, whose softmax is `P` again.
#[derive(Debug)]
pub struct Ensemble {
    /// That of the first model, with the post-processing that all have in common.
    card: ModelCard,
    models: Vec<Model>,
    mirroring: Mirroring,
}

impl Mirroring {
    /// The axes of `[B, H, W, C]` that each view turns round.
    fn views(self) -> &'static [&'static [usize]] {
        match self {
            Self::Off => &[&[]],
            Self::InPlane => &[&[], &[1], &[2], &[1, 2]],
        }
    }
}

impl Ensemble {
    /// An ensemble for one modality, which every model must know by this name.
    ///
    /// # Errors
    ///
    /// Models that do not agree on labels, preparation or input slices, or one that does not know the
    /// modality: the error says which model, by its number, and what differs.
    pub fn new(models: Vec<Model>, modality: &str, mirroring: Mirroring) -> Result<Self> {
        let Some(first) = models.first() else { bail!("an ensemble needs a model") };
        let mut card = first.card.clone();
        for (at, model) in models.iter().enumerate() {
            let number = at + 1;
            agree(number, "labels", &labels(&card), &labels(&model.card))?;
            let [ours, theirs] = differing_preparation(&card, &model.card)?;
            agree(number, "values of the preparation", &ours, &theirs)?;
            let slices = |card: &ModelCard| card.architectures[0].input_slices.to_string();
            agree(number, "input slices", &slices(&card), &slices(&model.card))?;
            let known = model.card.modalities.join(", ");
            ensure!(
                model.modality(modality).is_ok(),
                "model {number} of the ensemble knows the modalities {known}, not `{modality}`"
            );
            card.postprocessing = common(&card.postprocessing, &model.card.postprocessing, at);
        }
        Ok(Self { card, models, mirroring })
    }

    /// Passes through a network for each that a single model takes.
    pub fn passes(&self) -> usize {
        self.models.len() * self.mirroring.views().len()
    }
}

impl Segmenter for Ensemble {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, images: &Tensor, modality: usize) -> Result<Tensor> {
        let name = &self.card.modalities[modality];
        if let ([model], Mirroring::Off) = (&self.models[..], self.mirroring) {
            return model.logits(images, modality);
        }
        let mut sum: Vec<f32> = Vec::new();
        let mut shape = None;
        for model in &self.models {
            for axes in self.mirroring.views() {
                let logits = model.logits(&images.flip(axes)?, model.modality(name)?)?;
                let logits = logits.flip(axes)?;
                let classes = logits.dim(3)?;
                let logits_of_pixels = logits.flatten_all()?.to_vec1::<f32>()?;
                let probabilities = pixels::softmax(&logits_of_pixels, classes);
                if sum.is_empty() {
                    sum = probabilities;
                } else {
                    sum.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += p);
                }
                shape = Some(logits.shape().clone());
            }
        }
        let shape = shape.expect("an ensemble has a model and a view");
        let passes = self.passes() as f32;
        for value in &mut sum {
            *value = (*value / passes).ln();
        }
        Ok(Tensor::from_vec(sum, shape, images.device())?)
    }
}

fn labels(card: &ModelCard) -> String {
    let labels = card.labels.iter().map(|label| format!("{} {:?}", label.name, label.values));
    labels.collect::<Vec<_>>().join(", ")
}

/// The keys of the preparation that differ, each with its value.
fn differing_preparation(first: &ModelCard, other: &ModelCard) -> Result<[String; 2]> {
    let [first, other] =
        [serde_json::to_value(&first.preparation)?, serde_json::to_value(&other.preparation)?];
    let said = |of: &Value, against: &Value| {
        let differing = of.as_object().into_iter().flatten();
        let differing = differing.filter(|(key, value)| against[key.as_str()] != **value);
        let said = differing.map(|(key, value)| match value {
            Value::Null => format!("no {key}"),
            value => format!("{key} {value}"),
        });
        said.collect::<Vec<_>>().join(", ")
    };
    Ok([said(&first, &other), said(&other, &first)])
}

fn agree(number: usize, what: &str, first: &str, other: &str) -> Result<()> {
    ensure!(
        first == other,
        "model {number} of the ensemble does not go with model 1: its {what} are {other}, those of \
         model 1 {first}"
    );
    Ok(())
}

fn common(so_far: &PostProcessing, next: &PostProcessing, at: usize) -> PostProcessing {
    if at == 0 { next.clone() } else { so_far.in_common_with(next) }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use duomo_model::Architecture;

    use super::super::tests::{model_of, preparation};
    use super::*;

    fn model(seed: u64, spacing_mm: Option<f64>) -> Model {
        let tiny = Architecture { width: 1, blocks: [1; 8], ..Architecture::paper(4, 2) };
        model_of(tiny, seed, preparation(16, spacing_mm))
    }

    fn image() -> Tensor {
        let wave = |at: u16| (f32::from(at) * 0.37).sin() + f32::from(at % 16) * 0.1;
        let pixels: Vec<f32> = (0..2 * 16 * 16).map(wave).collect();
        Tensor::from_vec(pixels, (2, 16, 16, 1), &Device::Cpu).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn probabilities(segmenter: &dyn Segmenter, image: &Tensor) -> Vec<f32> {
        pixels::softmax(&values(&segmenter.logits(image, 1).unwrap()), 4)
    }

    fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
        assert_eq!(one.len(), other.len());
        one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_mean_of_two_models_is_the_mean_of_their_probabilities() {
        let image = image();
        let [one, two] = [1, 2].map(|seed| probabilities(&model(seed, None), &image));
        let both = vec![model(1, None), model(2, None)];
        let ensemble = Ensemble::new(both, "bSSFP", Mirroring::Off).unwrap();

        let mean: Vec<f32> = one.iter().zip(&two).map(|(a, b)| (a + b) / 2.0).collect();
        assert!(largest_difference(&probabilities(&ensemble, &image), &mean) < 1e-6);
        assert!(largest_difference(&one, &two) > 1e-3, "the models are not alike");
    }

    #[test]
    fn a_single_model_alone_speaks_for_itself() {
        let image = image();
        let alone = Ensemble::new(vec![model(1, None)], "bSSFP", Mirroring::Off).unwrap();

        let [one, other] = [&alone as &dyn Segmenter, &model(1, None)]
            .map(|segmenter| values(&segmenter.logits(&image, 1).unwrap()));
        assert_eq!(one, other);
    }

    #[test]
    fn a_mirrored_image_has_mirrored_probabilities() {
        let image = image();
        let ensemble = Ensemble::new(vec![model(1, None)], "bSSFP", Mirroring::InPlane).unwrap();
        assert_eq!(ensemble.passes(), 4);

        for axes in [[1].as_slice(), &[2], &[1, 2]] {
            let turned = ensemble.logits(&image.flip(axes).unwrap(), 1).unwrap();
            let turned_back = values(&turned.flip(axes).unwrap());
            let expected = values(&ensemble.logits(&image, 1).unwrap());
            let difference = largest_difference(
                &pixels::softmax(&turned_back, 4),
                &pixels::softmax(&expected, 4),
            );
            assert!(difference < 1e-5, "{axes:?}: {difference}");
        }
    }

    #[test]
    fn models_that_do_not_go_together_are_refused_with_what_differs() {
        let mut other_labels = model(2, None);
        other_labels.card.labels.swap(0, 1);
        let mut other_modality = model(2, None);
        other_modality.card.modalities[1] = "T2".to_owned();
        let refusals = [
            (other_labels, "labels are myo [200], LV [500]"),
            (other_modality, "knows the modalities LGE, T2, not `bSSFP`"),
            (
                model(2, Some(3.0)),
                "its values of the preparation are spacing_mm 3.0, those of model 1 no spacing_mm",
            ),
        ];
        for (other, what) in refusals {
            let models = vec![model(1, None), other];
            let error = Ensemble::new(models, "bSSFP", Mirroring::Off).unwrap_err().to_string();
            assert!(error.contains("model 2 of the ensemble") && error.contains(what), "{error}");
        }
    }
}
