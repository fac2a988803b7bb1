//! Which values settings may have.

use anyhow::{Context as _, Result, ensure};

use super::{Experiment, Transfer};

/// What a real number may be; each is finite.
#[derive(Clone, Copy, Debug)]
enum Domain {
    Positive,
    NotNegative,
    /// Above 0 and at most 1.
    Factor,
    /// At least 0 and below 1.
    Share,
}

impl Domain {
    fn holds(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Positive => value > 0.0,
                Self::NotNegative => value >= 0.0,
                Self::Factor => value > 0.0 && value <= 1.0,
                Self::Share => (0.0..1.0).contains(&value),
            }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "positive and finite",
            Self::NotNegative => "0 or more and finite",
            Self::Factor => "above 0 and at most 1",
            Self::Share => "at least 0 and below 1",
        }
    }
}

impl Experiment {
    /// Refuses what cannot be trained, before any data are read.
    ///
    /// # Errors
    ///
    /// The first key whose value is outside its domain, with both.
    pub(super) fn check(&self) -> Result<()> {
        let schedule = &self.schedule;
        self.dataset.validate()?;
        for (key, count) in [
            ("steps", schedule.steps),
            ("batch", schedule.batch as u64),
            ("validate_every", schedule.validate_every),
            ("optimizer.decay_every", schedule.optimizer.decay_every),
        ] {
            ensure!(count > 0, "schedule.{key} must be at least 1, got 0");
        }
        for (key, value, domain) in self.reals() {
            ensure!(domain.holds(value), "{key} must be {}, got {value}", domain.as_str());
        }
        let input_slices = schedule.network.input_slices;
        ensure!(
            input_slices % 2 == 1,
            "schedule.network.input_slices must be odd (a slice and its neighbours), got {input_slices}"
        );
        let crop = self.preparation().crop;
        ensure!(
            crop > 0 && crop.is_multiple_of(8),
            "the crop must be a positive multiple of 8, because the network's features live at an \
             eighth of its side; got {crop}"
        );
        for transfer in &self.method.transfer {
            if let Transfer::ClassAffinity { pairs, .. } = transfer {
                ensure!(
                    !pairs.is_empty(),
                    "method.transfer.pairs must name a pair of groups, got none; without the loss it is a \
                     method without `transfer`"
                );
            }
        }
        for group in self.method.groups() {
            ensure!(
                (1..=8).contains(&group),
                "method.transfer.pairs may name groups 1 to 8 of the network, got {group}"
            );
        }
        if let Some((fold, folds)) = self.fold {
            ensure!(fold < folds, "fold must count from 0 to below {folds}, got {fold}");
        }
        schedule.augmentation.validate().context("schedule.augmentation")?;
        self.architecture(self.dataset.modalities.len()).validate()?;
        Ok(())
    }

    /// Every setting that is a real number, by its key; the network's are checked with it.
    fn reals(&self) -> Vec<(String, f64, Domain)> {
        let schedule = &self.schedule;
        let (optimizer, loss, split) = (&schedule.optimizer, &schedule.loss, &schedule.split);
        let mut reals = vec![
            ("schedule.optimizer.rate".to_owned(), optimizer.rate, Domain::Positive),
            ("schedule.optimizer.decay".to_owned(), optimizer.decay, Domain::Factor),
            ("schedule.optimizer.l2".to_owned(), optimizer.l2, Domain::NotNegative),
            ("schedule.loss.dice".to_owned(), loss.dice, Domain::NotNegative),
            ("schedule.loss.cross_entropy".to_owned(), loss.cross_entropy, Domain::NotNegative),
            ("schedule.split.test_fraction".to_owned(), split.test_fraction, Domain::Share),
            (
                "schedule.split.validation_fraction".to_owned(),
                split.validation_fraction,
                Domain::Share,
            ),
        ];
        let spacing_mm = schedule.preparation.spacing_mm;
        reals
            .extend(spacing_mm.map(|edge| {
                ("schedule.preparation.spacing_mm".to_owned(), edge, Domain::Positive)
            }));
        for (at, transfer) in self.method.transfer.iter().enumerate() {
            let key = |name: &str| format!("method.transfer.{at}.{name}");
            reals.push((key("weight"), transfer.weight(), Domain::NotNegative));
            if let Transfer::Distillation { temperature, .. } = transfer {
                reals.push((key("temperature"), *temperature, Domain::Positive));
            }
        }
        reals
    }
}
