//! How a label map was made.

use std::path::PathBuf;

use duomo_train::{Arithmetic, PostProcessing};
use serde::{Deserialize, Serialize};

/// Everything that a label map depends on, besides its image.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Recipe {
    /// The model, or the models of an ensemble.
    pub models: Vec<ModelFile>,
    /// Modality of the image, by the model's name for it.
    pub modality: String,
    /// Whether mirrored slices had a say.
    pub tta: bool,
    /// What was taken away from the prediction.
    pub postprocessing: PostProcessing,
    /// As what probabilities were written, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<Precision>,
    /// What computed it.
    #[serde(default)]
    pub arithmetic: Arithmetic,
}

/// As what probabilities are written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Precision {
    /// A byte, in steps of 1/255.
    U8,
    /// 32-bit reals.
    F32,
}

/// A model file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct ModelFile {
    /// Where it was; it may move.
    pub file: PathBuf,
    /// BLAKE3 of its contents.
    pub blake3: String,
}

impl Recipe {
    /// The recipe in one word: equal ones make equal label maps of equal images.
    pub(crate) fn digest(&self) -> String {
        let mut here = self.clone();
        for model in &mut here.models {
            model.file.clear();
        }
        let text = serde_json::to_string(&here).expect("a recipe is text and numbers");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// Whether probabilities by the other recipe, which are those before post-processing, are this one's, too.
    pub(crate) fn has_probabilities_of(&self, other: &Self) -> bool {
        let (postprocessing, probabilities) = (self.postprocessing.clone(), self.probabilities);
        self.digest() == Self { postprocessing, probabilities, ..other.clone() }.digest()
    }

    /// What is not as in a recipe found there.
    pub(crate) fn differences(&self, there: &Self) -> String {
        let models = |recipe: &Self| -> Vec<String> {
            recipe.models.iter().map(|model| model.blake3.clone()).collect()
        };
        let named = [
            ("other models", models(self) != models(there)),
            ("another modality", self.modality != there.modality),
            ("other mirroring", self.tta != there.tta),
            ("other post-processing", self.postprocessing != there.postprocessing),
            ("other probabilities", self.probabilities != there.probabilities),
        ];
        let named = named.into_iter().filter(|(_, differs)| *differs);
        let mut named: Vec<String> = named.map(|(what, _)| what.to_owned()).collect();
        if self.arithmetic != there.arithmetic {
            let (there, here) = (there.arithmetic, self.arithmetic);
            named.push(format!("arithmetic {there} there, {here} here"));
        }
        named.join(", ")
    }

    /// A recipe of no model, for tests.
    #[cfg(test)]
    pub(crate) fn example(modality: &str) -> Self {
        Self {
            models: Vec::new(),
            modality: modality.to_owned(),
            tta: false,
            postprocessing: PostProcessing::default(),
            probabilities: None,
            arithmetic: Arithmetic::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_follows_the_model_not_its_place() {
        let recipe = |file: &str, blake3: &str, modality: &str| {
            let model = ModelFile { file: file.into(), blake3: blake3.into() };
            Recipe { models: vec![model], ..Recipe::example(modality) }
        };

        let base = recipe("a", "1", "LGE");
        assert_eq!(recipe("b", "1", "LGE").digest(), base.digest());
        assert_ne!(recipe("a", "2", "LGE").digest(), base.digest());
        assert_ne!(recipe("a", "1", "T2").digest(), base.digest());
        let with = Recipe { probabilities: Some(Precision::U8), ..base.clone() };
        assert!(
            with.has_probabilities_of(&base)
                && !with.has_probabilities_of(&recipe("a", "2", "LGE"))
        );
        assert_eq!(recipe("b", "1", "LGE").differences(&base), "");
        let text = recipe("a", "2", "T2").differences(&base);
        assert_eq!(text, "other models, another modality");
    }

    #[test]
    fn label_maps_of_two_arithmetics_have_two_recipes() {
        let here = Recipe::example("LGE");
        let there = Recipe { arithmetic: Arithmetic::CudaTf32, ..here.clone() };

        assert_ne!(there.digest(), here.digest());
        assert_eq!(here.differences(&there), "arithmetic cuda-tf32 there, cpu-f32 here");
    }

    #[test]
    fn a_recipe_that_names_no_arithmetic_is_the_processors() {
        let here = Recipe::example("LGE");
        let mut before = serde_json::to_value(&here).unwrap();
        before.as_object_mut().unwrap().remove("arithmetic").unwrap();

        let before: Recipe = serde_json::from_value(before).unwrap();

        assert_eq!(before.digest(), here.digest());
    }
}
