//! Shows a run: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use duomo_train::{Event, LossTerms, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console;
use crate::logging;
use crate::signals;
use crate::table::number;

/// How often a plain line is written.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// An observer for the terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    pace: Option<Pace>,
    last_line: Option<Instant>,
}

/// Where and when this process began to count steps; a resumed run begins in the middle.
#[derive(Clone, Copy, Debug)]
struct Pace {
    first_step: u64,
    start: Instant,
}

impl Progress {
    /// An observer that draws a bar if stderr is a terminal.
    pub(crate) fn new() -> Self {
        let bar = logging::may_draw_bars().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
            // The template is fixed, so a failure would show in the first run of the tests.
            let style = ProgressStyle::with_template("{bar:24.cyan/dim} {msg}");
            bar.set_style(
                style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"),
            );
            bar
        });
        Self { bar, pace: None, last_line: None }
    }

    fn say(&self, line: &str) {
        self.aside(|| console::note(line));
    }

    fn warn(&self, line: &str) {
        self.aside(|| console::warn(line));
    }

    /// Writes above the bar.
    fn aside(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn step(&mut self, step: u64, steps: u64, terms: &LossTerms, slices_per_second: f64) {
        let now = Instant::now();
        let pace = *self.pace.get_or_insert(Pace { first_step: step, start: now });
        let left = time_left(now - pace.start, step - pace.first_step, steps.saturating_sub(step));
        let status = status(step, steps, terms, slices_per_second, left);
        if let Some(bar) = &self.bar {
            bar.set_length(steps);
            bar.set_position(step);
            bar.set_message(status);
        } else if step == steps || self.last_line.is_none_or(|last| now - last >= PLAIN_EVERY) {
            self.last_line = Some(now);
            console::note(&status);
        }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Message(text) => self.say(text),
            Event::Warning(text) => self.warn(text),
            Event::Step { step, steps, terms, slices_per_second } => {
                self.step(*step, *steps, terms, *slices_per_second);
            }
            Event::Validation { step, dice, best } => {
                let remark = if *best { "  (best so far)" } else { "" };
                self.say(&format!("step {step}: validation Dice  {}{remark}", scores(dice)));
            }
            Event::TestCase { case, modality, dice } => {
                self.say(&format!("test {modality} {case}: Dice {}", number(*dice, 3)));
            }
            _ => {}
        }
    }

    fn wants_stop(&self) -> bool {
        signals::caught().is_some()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn status(
    step: u64,
    steps: u64,
    terms: &LossTerms,
    slices_per_second: f64,
    left: Option<Duration>,
) -> String {
    let count = terms.dice.len().max(1) as f64;
    let dice = 1.0 - terms.dice.iter().sum::<f64>() / count;
    let mut text = format!(
        "step {step:>width$}/{steps}  loss {:.3}  soft Dice {dice:.3}  {slices_per_second:.0} slices/s",
        terms.total,
        width = steps.to_string().len()
    );
    if let Some(left) = left {
        text.push_str("  ");
        text.push_str(&clock(left));
        text.push_str(" left");
    }
    text
}

/// `None` until a step has been timed.
fn time_left(elapsed: Duration, done: u64, to_do: u64) -> Option<Duration> {
    (done > 0).then(|| elapsed.mul_f64(to_do as f64 / done as f64))
}

/// A duration to be read at a glance: `12 s`, `3 min 20 s`, `5 h 7 min`.
pub(crate) fn clock(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn scores(dice: &[(String, Option<f64>)]) -> String {
    let scores = dice.iter().map(|(name, dice)| format!("{name} {}", number(*dice, 3)));
    scores.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn terms() -> LossTerms {
        LossTerms {
            total: 1.2345,
            dice: vec![0.25, 0.35],
            cross_entropy: vec![0.3, 0.3],
            transfer: BTreeMap::new(),
        }
    }

    #[test]
    fn a_status_names_step_loss_dice_speed_and_time_left() {
        let text = status(7, 600, &terms(), 41.6, Some(Duration::from_secs(200)));

        assert_eq!(text, "step   7/600  loss 1.234  soft Dice 0.700  42 slices/s  3 min 20 s left");
    }

    #[test]
    fn time_left_counts_only_the_steps_of_this_process() {
        assert_eq!(time_left(Duration::from_secs(10), 0, 90), None);
        assert_eq!(time_left(Duration::from_secs(10), 5, 90), Some(Duration::from_mins(3)));
    }

    #[test]
    fn clocks_show_two_units_at_most() {
        let texts = [59, 60, 3599, 18_420].map(|seconds| clock(Duration::from_secs(seconds)));

        assert_eq!(texts, ["59 s", "1 min 0 s", "59 min 59 s", "5 h 7 min"]);
    }

    #[test]
    fn every_modality_has_its_score() {
        let dice = [("LGE".to_owned(), Some(0.8)), ("bSSFP".to_owned(), None)];

        assert_eq!(scores(&dice), "LGE 0.800  bSSFP –");
    }
}
