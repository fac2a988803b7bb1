//! The training loop: steps, validation, checkpoints, and the way back after an interruption.

use std::collections::VecDeque;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use candle_core::Device;
use duomo_ops::in_pool;
use serde::Serialize;

use crate::ahead::prepare_ahead;
use crate::card_memory::{explain_memory, ran_out};
use crate::cases::Cases;
use crate::checkpoint::{self, Origin, Progress, Stamp};
use crate::compute::Compute;
use crate::draw::{Draw, DrawnBatch};
use crate::evaluation::{learn_postprocessing, mean_dice};
use crate::experiment::Experiment;
use crate::gradients::GradientNorms;
use crate::loss::LossTerms;
use crate::model_file::{self, FORMAT, Model, ModelCard, Provenance};
use crate::network::{ComingStep, TrainedNetwork};
use crate::observer::{Event, Interrupted, Observer};
use crate::postprocessing::PostProcessing;
use crate::provenance::Program;
use crate::run_folder::RunFolder;
use crate::tensorboard::EventFile;

/// Weight of the newest step in the running mean of the speed.
const SPEED_SMOOTHING: f64 = 0.1;

/// Trains the networks of an experiment on prepared cases, inside a run folder.
#[derive(Debug)]
pub(crate) struct Trainer<'a> {
    experiment: &'a Experiment,
    folder: &'a RunFolder,
    cases: &'a Cases,
    origin: Origin,
    compute: Compute,
    device: Device,
    networks: Vec<TrainedNetwork>,
    /// Steps that a card may still be at, by their numbers.
    coming: VecDeque<(u64, Vec<ComingStep>)>,
    progress: Progress,
    events: EventFile,
}

/// Hands over the batches of each step in turn.
type NextBatches<'a> = &'a mut dyn FnMut(u64) -> Result<Vec<DrawnBatch>>;

/// One line of `metrics.jsonl`.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Step {
        step: u64,
        rate: f64,
        slices_per_second: f64,
        #[serde(flatten)]
        terms: &'a LossTerms,
    },
    Gradient {
        step: u64,
        gradient: GradientNorms,
    },
    Validation {
        step: u64,
        validation_dice: &'a [(String, Option<f64>)],
        score: Option<f64>,
    },
}

impl<'a> Trainer<'a> {
    /// Begins, or goes on from the folder's last checkpoint.
    ///
    /// # Errors
    ///
    /// A checkpoint that is damaged or of another experiment; a folder that cannot be written to.
    pub(crate) fn new(
        experiment: &'a Experiment,
        folder: &'a RunFolder,
        cases: &'a Cases,
        data_hash: &str,
        compute: Compute,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let device = compute.open()?;
        let explain = |error| explain_memory(error, experiment, compute);
        let networks = TrainedNetwork::of_experiment(experiment, &device).map_err(explain)?;
        let origin = Origin::new(experiment, data_hash)?;
        let restored = checkpoint::restore_newest(folder, &networks, &origin, observer);
        let restored = restored.map_err(explain)?;
        if let Some(Progress { step, .. }) = restored {
            let text = format!("going on after step {step} of {}", experiment.schedule.steps);
            observer.event(&Event::Message(&text));
        }
        let progress = restored.unwrap_or_default();
        folder.truncate_metrics(progress.step)?;
        let events = EventFile::open(folder.root(), progress.step)?;
        let coming = VecDeque::new();
        Ok(Self {
            experiment,
            folder,
            cases,
            origin,
            compute,
            device,
            networks,
            coming,
            progress,
            events,
        })
    }

    /// The step that training goes on from; 0 at the beginning.
    pub(crate) fn step_done(&self) -> u64 {
        self.progress.step
    }

    /// Trains to the schedule's last step and returns the best weights as a model, also written to
    /// the run folder.
    ///
    /// # Errors
    ///
    /// A loss that is not finite, or a folder that can no longer be written to; the last good
    /// checkpoint is then intact. [`Interrupted`] if the observer wants the run to stop.
    pub(crate) fn run(mut self, observer: &mut dyn Observer) -> Result<Model> {
        let (experiment, draws) = (self.experiment, self.draws()?);
        let draw = |step| draws.iter().map(|draw| draw.batch(experiment, step)).collect();
        if self.device.is_cpu() {
            self.steps(&mut |step| draw(step), observer)?;
        } else {
            let left = self.progress.step + 1..=experiment.schedule.steps;
            thread::scope(|scope| {
                let ahead = prepare_ahead(scope, left, draw);
                self.steps(&mut |_| ahead.recv()?, observer)
            })?;
        }
        self.finish(observer)
    }

    /// Trains to the last step on what `batches` hands over for each step in turn.
    fn steps(&mut self, batches: NextBatches<'_>, observer: &mut dyn Observer) -> Result<()> {
        let schedule = &self.experiment.schedule;
        let slices = (schedule.batch * self.cases.train.len()) as f64;
        let mut speed = None;
        let mut saved = self.progress.step;
        while self.progress.step < schedule.steps {
            let step = self.progress.step + 1;
            let validates = step.is_multiple_of(schedule.validate_every) || step == schedule.steps;
            let stops = observer.wants_stop();
            if stops || step == 1 || validates {
                let arrived = self.wait_for_all_but(0)?;
                self.report(arrived, speed.unwrap_or_default(), observer)?;
            }
            if stops {
                return self.interrupt(saved);
            }
            let batches = batches(step)?;
            if step == 1 || validates {
                self.log_gradient(&batches, step)?;
            }
            let started = Instant::now();
            self.begin_step(&batches, step)?;
            // A card is given the next step before it is asked for this one's losses.
            let coming = usize::from(!self.device.is_cpu() && !validates);
            let arrived = self.wait_for_all_but(coming)?;
            let now = slices / started.elapsed().as_secs_f64().max(1e-9);
            let smoothed = speed.map_or(now, |speed| speed + SPEED_SMOOTHING * (now - speed));
            speed = Some(smoothed);
            self.report(arrived, smoothed, observer)?;
            if validates {
                self.validate(observer)?;
                saved = step;
            }
        }
        Ok(())
    }

    /// Saves what was done since step `saved`, and ends.
    fn interrupt(&self, saved: u64) -> Result<()> {
        let step = self.progress.step;
        if step > saved {
            self.save_last()?;
        }
        Err(Interrupted { step, steps: self.experiment.schedule.steps }.into())
    }

    fn draws(&self) -> Result<Vec<Draw<'a>>> {
        let per_modality = self.cases.train.iter().enumerate();
        per_modality.map(|(modality, cases)| Draw::new(self.experiment, modality, cases)).collect()
    }

    /// Logs what pulls at the shared kernels in `step`, where a transfer loss does.
    fn log_gradient(&mut self, batches: &[DrawnBatch], step: u64) -> Result<()> {
        // Only a network of several modalities has a transfer loss, and it is the only one.
        let mut norms = self
            .networks
            .iter()
            .map(|network| network.gradient_norms(batches, self.experiment, step));
        let norms = norms.next().transpose().map(Option::flatten);
        let Some(gradient) = norms.map_err(|error| self.explain(error))? else { return Ok(()) };
        self.folder.append_metrics(&Line::Gradient { step, gradient })?;
        self.scalar("gradient/rest", gradient.rest, step)?;
        self.scalar("gradient/transfer", gradient.transfer, step)
    }

    /// Does a step, or on a card asks for it.
    fn begin_step(&mut self, batches: &[DrawnBatch], step: u64) -> Result<()> {
        let (networks, experiment) = (&self.networks, self.experiment);
        let begin = || -> Result<_> {
            networks.iter().map(|network| network.begin_step(batches, experiment, step)).collect()
        };
        // A card is spoken to from one thread.
        let coming = if self.device.is_cpu() { in_pool(begin) } else { begin() };
        self.coming.push_back((step, coming.map_err(|error| self.explain(error))?));
        self.progress.step = step;
        Ok(())
    }

    /// The terms of the steps begun, but for the last `coming` ones.
    fn wait_for_all_but(&mut self, coming: usize) -> Result<Vec<(u64, LossTerms)>> {
        let ready = self.coming.len().saturating_sub(coming);
        let steps: Vec<_> = self.coming.drain(..ready).collect();
        let finish = |(step, networks): (u64, Vec<ComingStep>)| {
            let terms = networks.into_iter().map(ComingStep::finish).collect::<Result<_>>();
            Ok((step, LossTerms::of_networks(terms.map_err(|error| self.explain(error))?)))
        };
        steps.into_iter().map(finish).collect()
    }

    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        explain_memory(error, self.experiment, self.compute)
    }

    fn report(
        &mut self,
        arrived: Vec<(u64, LossTerms)>,
        slices_per_second: f64,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let steps = self.experiment.schedule.steps;
        for (step, terms) in arrived {
            self.log_step(step, &terms, slices_per_second)?;
            let terms = &terms;
            observer.event(&Event::Step { step, steps, terms, slices_per_second });
        }
        Ok(())
    }

    fn log_step(&mut self, step: u64, terms: &LossTerms, slices_per_second: f64) -> Result<()> {
        let rate = self.experiment.schedule.optimizer.rate_at(step);
        self.folder.append_metrics(&Line::Step { step, rate, slices_per_second, terms })?;
        self.scalar("loss/total", terms.total, step)?;
        for (modality, (dice, entropy)) in terms.dice.iter().zip(&terms.cross_entropy).enumerate() {
            let name = &self.experiment.dataset.modalities[modality].name;
            self.scalar(&format!("loss/dice/{name}"), *dice, step)?;
            self.scalar(&format!("loss/cross-entropy/{name}"), *entropy, step)?;
        }
        for (name, value) in &terms.transfer {
            self.scalar(&format!("loss/{name}"), *value, step)?;
        }
        self.scalar("rate", rate, step)
    }

    fn scalar(&mut self, tag: &str, value: f64, step: u64) -> Result<()> {
        let seconds =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        Ok(self.events.scalar(tag, value, step, seconds)?)
    }

    /// Scores the validation patients and writes the checkpoints.
    fn validate(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let step = self.progress.step;
        let model = self.model()?;
        let mut dice = Vec::new();
        for (modality, cases) in self.cases.validation.iter().enumerate() {
            let name = self.experiment.dataset.modalities[modality].name.clone();
            dice.push((name, mean_dice(&model, cases, modality)?));
        }
        let known: Vec<f64> = dice.iter().filter_map(|(_, dice)| *dice).collect();
        let score = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        // Without validation patients the newest weights are the best that is known.
        let better =
            score.is_none_or(|score| self.progress.best.is_none_or(|(best, _)| score > best));
        // Before the checkpoints: a run that is killed here validates once more, and no line is lost.
        self.folder.append_metrics(&Line::Validation { step, validation_dice: &dice, score })?;
        for (name, value) in dice.iter().filter_map(|(name, dice)| Some((name, (*dice)?))) {
            self.scalar(&format!("val/dice/{name}"), value, step)?;
        }
        if better {
            self.progress.best = score.map(|score| (score, step));
            checkpoint::save_best(self.folder, &self.networks, &self.stamp())?;
        }
        self.save_last()?;
        observer.event(&Event::Validation { step, dice: &dice, best: better });
        Ok(())
    }

    fn save_last(&self) -> Result<()> {
        checkpoint::save_last(self.folder, &self.networks, &self.stamp())
    }

    fn stamp(&self) -> Stamp<'_> {
        Stamp { card: self.card(), progress: &self.progress, origin: &self.origin }
    }

    /// The present weights as a model.
    fn model(&self) -> Result<Model> {
        let tensors = model_file::weights(&self.networks);
        tensors
            .and_then(|tensors| Model::from_parts(self.card(), &tensors, &self.device))
            .map_err(|error| self.explain(error))
    }

    /// Learns the post-processing of the best weights and writes both as the run's model.
    fn finish(mut self, observer: &mut dyn Observer) -> Result<Model> {
        self.restore_best(observer)?;
        let mut model = self.model()?;
        let steps = self.experiment.schedule.steps;
        let label_map = self.experiment.dataset.label_map();
        model.card.postprocessing =
            learn_postprocessing(&model, &self.cases.validation, &label_map, steps, observer)
                .context("on the validation patients")?;
        let text = format!("post-processing: {}", model.card.describe_postprocessing());
        observer.event(&Event::Message(&text));
        let tensors = model_file::weights(&self.networks)?;
        model_file::write(&self.folder.model(), &model.card, &tensors, &[])?;
        Ok(model)
    }

    /// Takes the best weights; if their checkpoint is damaged, the last ones, with a warning.
    fn restore_best(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let best = self.folder.best_checkpoint();
        match checkpoint::restore(&best, &self.networks, &self.origin) {
            Ok((best, _)) => self.progress.step = best.step,
            Err(error) if ran_out(&error) => return Err(self.explain(error)),
            Err(error) => {
                let step = self.progress.step;
                let text = format!(
                    "cannot use the best weights: {error:#}; the model gets those of step {step}"
                );
                observer.event(&Event::Warning(&text));
                // A damaged file is refused before a weight is touched, one of another network is not.
                let restored =
                    checkpoint::restore_newest(self.folder, &self.networks, &self.origin, observer);
                let restored = restored.map_err(|error| self.explain(error))?;
                self.progress = restored.context("the run has no checkpoint")?;
            }
        }
        Ok(())
    }

    fn card(&self) -> ModelCard {
        let experiment = self.experiment;
        let program = Program::current();
        ModelCard {
            format: FORMAT.to_owned(),
            architectures: self
                .networks
                .iter()
                .map(|network| network.fcn.architecture().clone())
                .collect(),
            networks: self.networks.iter().map(|network| network.modalities.clone()).collect(),
            modalities: experiment.dataset.modalities.iter().map(|m| m.name.clone()).collect(),
            labels: experiment.dataset.labels.clone(),
            preparation: experiment.preparation(),
            postprocessing: PostProcessing::default(),
            provenance: Provenance {
                version: program.version.to_owned(),
                commit: program.commit.to_owned(),
                method: experiment.method.label.clone(),
                schedule: experiment.schedule.label.clone(),
                seed: experiment.seed,
                data_hash: self.origin.data_hash.clone(),
                step: self.progress.step,
            },
        }
    }
}
