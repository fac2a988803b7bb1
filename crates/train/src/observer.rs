//! What a run tells whoever watches it; nothing below the command line prints.

use crate::loss::LossTerms;

/// Watches a run. The command line draws bars with it, tests collect its events.
pub trait Observer {
    /// Called in the order things happen, from the thread that trains.
    fn event(&mut self, event: &Event<'_>);

    /// Whether the run should save what it has and end with [`Interrupted`]; asked between steps and
    /// between test cases.
    fn wants_stop(&self) -> bool {
        false
    }
}

/// The error of a run that was asked to stop; its last checkpoint holds every step that it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted after step {step} of {steps}; the same command goes on from there")]
pub struct Interrupted {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
}

/// Something that happened during a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A sentence for the log.
    Message(&'a str),
    /// Something that deserves attention but does not stop the run.
    Warning(&'a str),
    /// One optimiser step was done.
    Step {
        /// The step's number, counted from 1.
        step: u64,
        /// Steps of the whole run.
        steps: u64,
        /// The terms of Eq. 5 at this step.
        terms: &'a LossTerms,
        /// Slices of all modalities per second, smoothed.
        slices_per_second: f64,
    },
    /// The validation patients were segmented.
    Validation {
        /// The step after which it happened.
        step: u64,
        /// Mean foreground Dice of each modality, in the data set's order; `None` without a case.
        dice: &'a [(String, Option<f64>)],
        /// Whether this is the best score so far.
        best: bool,
    },
    /// A test case was segmented and compared with its reference.
    TestCase {
        /// Patient.
        case: &'a str,
        /// Modality name.
        modality: &'a str,
        /// Mean foreground Dice.
        dice: Option<f64>,
    },
}

/// An observer that ignores everything.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _event: &Event<'_>) {}
}
