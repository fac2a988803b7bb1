//! Shows many runs at once: a table on a terminal, plain lines elsewhere.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use duomo_train::{Cell, CellEvent, Event, GridObserver, Interrupted, RunFolder, Summary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console;
use crate::logging;
use crate::progress::clock;
use crate::run_pictures::write_run_pictures;
use crate::signals;
use crate::table::{Align, Table, UNDEFINED, number};

/// How often a plain line is written for a run.
const PLAIN_EVERY: Duration = Duration::from_secs(30);

/// Rows that fit on a small terminal; finished and waiting runs give way to running ones.
const ROWS_SHOWN: usize = 20;

/// An observer of a grid for the terminal.
pub(super) struct Board {
    state: Mutex<State>,
    bar: Option<ProgressBar>,
}

struct State {
    rows: Vec<Row>,
    start: Instant,
    estimate: Option<Duration>,
}

/// One run.
struct Row {
    index: usize,
    name: String,
    steps: u64,
    place: Place,
    /// The last validation's Dice, or the test's.
    dice: String,
    last_line: Option<Instant>,
}

/// Where a run is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Waiting,
    Running { step: u64, since: Instant, first_step: u64 },
    Testing,
    Done,
    Failed,
}

impl Board {
    /// A board for these runs; `estimate` is the time that all of them were expected to take.
    pub(super) fn new(cells: &[Cell], estimate: Option<Duration>) -> Self {
        let rows = cells.iter().map(|cell| Row {
            index: cell.index,
            name: cell.name.clone(),
            steps: cell.experiment.schedule.steps,
            place: Place::Waiting,
            dice: String::new(),
            last_line: None,
        });
        let bar = logging::may_draw_bars().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
            // The template is fixed, so a failure would show in the first run on a terminal.
            let style = ProgressStyle::with_template("{msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        let state = State { rows: rows.collect(), start: Instant::now(), estimate };
        Self { state: Mutex::new(state), bar }
    }

    /// Takes the table off the terminal.
    pub(super) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// The rows; a thread that died while it held them left nothing half-written.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn aside(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn say(&self, cell: &Cell, text: &str) {
        self.aside(|| console::note(&format!("[{}] {}: {text}", cell.index, cell.name)));
    }

    fn redraw(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.state().text());
        }
    }

    fn run_event(&self, cell: &Cell, event: &Event<'_>) {
        match event {
            Event::Warning(text) => {
                self.aside(|| console::warn(&format!("[{}] {}: {text}", cell.index, cell.name)));
            }
            // What every run of a data set says alike is left to `duomo train`.
            Event::Message(text) if text.starts_with("going on") => self.say(cell, text),
            Event::Step { step, steps, .. } => {
                let line = self.state().step(cell.index, *step, *steps);
                if let Some(line) = line.filter(|_| self.bar.is_none()) {
                    self.say(cell, &line);
                }
            }
            Event::Validation { step, dice, .. } => {
                let scores = dice.iter().map(|(name, dice)| format!("{name} {}", number(*dice, 3)));
                let scores = scores.collect::<Vec<_>>().join("  ");
                if self.bar.is_none() {
                    self.say(cell, &format!("step {step}: validation Dice  {scores}"));
                }
                self.state().change(cell.index, |row| {
                    row.dice = scores;
                    if *step == row.steps {
                        row.place = Place::Testing;
                    }
                });
            }
            _ => {}
        }
    }

    fn ended(&self, cell: &Cell, result: &Result<Summary>) {
        let text = match result {
            Ok(summary) => {
                let folder = RunFolder::pictures_of(&cell.folder);
                let drawn = write_run_pictures(summary, &cell.experiment.dataset, &folder);
                if let Err(error) = drawn {
                    let text = format!("no pictures of {}: {error:#}", cell.name);
                    self.aside(|| console::warn(&text));
                }
                let modalities = summary.modalities.iter();
                let scores = modalities
                    .map(|modality| format!("{} {}", modality.name, number(modality.mean_dice, 3)));
                scores.collect::<Vec<_>>().join("  ")
            }
            Err(error) if error.is::<Interrupted>() => String::new(),
            Err(error) => {
                // The error of a lone run is the program's, which says it at its end.
                if self.state().rows.len() > 1 {
                    let text = format!("[{}] {}: {error:#}", cell.index, cell.name);
                    self.aside(|| console::fail(&text));
                }
                String::new()
            }
        };
        let place = match result {
            Ok(_) => Place::Done,
            Err(error) if error.is::<Interrupted>() => Place::Waiting,
            Err(_) => Place::Failed,
        };
        let remaining = {
            let mut state = self.state();
            state.change(cell.index, |row| {
                row.place = place;
                row.dice.clone_from(&text);
            });
            state.headline()
        };
        if result.is_ok() && self.bar.is_none() {
            self.say(cell, &format!("done, test Dice  {text}"));
            console::note(&remaining);
        }
    }
}

impl GridObserver for Board {
    fn event(&self, cell: &Cell, event: &CellEvent<'_>) {
        match event {
            CellEvent::Begun => {
                let since = Instant::now();
                let running = Place::Running { step: 0, since, first_step: 0 };
                self.state().change(cell.index, |row| row.place = running);
                if self.bar.is_none() {
                    self.say(cell, "begins");
                }
            }
            CellEvent::Run(event) => self.run_event(cell, event),
            CellEvent::Ended(result) => self.ended(cell, result),
            _ => {}
        }
        self.redraw();
    }

    fn wants_stop(&self) -> bool {
        signals::caught().is_some()
    }
}

impl State {
    fn change(&mut self, index: usize, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.index == index) {
            change(row);
        }
    }

    /// Notes a step; returns a line when the last one is long ago.
    fn step(&mut self, index: usize, step: u64, steps: u64) -> Option<String> {
        let now = Instant::now();
        let row = self.rows.iter_mut().find(|row| row.index == index)?;
        let (since, first_step) = match row.place {
            Place::Running { since, first_step, .. } if first_step > 0 => (since, first_step),
            // The first step of this process: time counts from here.
            _ => (now, step),
        };
        row.place = Place::Running { step, since, first_step };
        let line = row.last_line.is_none_or(|last| now - last >= PLAIN_EVERY);
        line.then(|| {
            row.last_line = Some(now);
            format!("step {step} of {steps}{}", left(row))
        })
    }

    /// How many runs are where, and how much time is left of the estimate.
    fn headline(&self) -> String {
        let count = |is: fn(&Place) -> bool| self.rows.iter().filter(|row| is(&row.place)).count();
        let mut text = format!(
            "{} of {} runs done, {} running, {} waiting",
            count(|place| *place == Place::Done),
            self.rows.len(),
            count(|place| matches!(place, Place::Running { .. } | Place::Testing)),
            count(|place| *place == Place::Waiting)
        );
        let failed = count(|place| *place == Place::Failed);
        if failed > 0 {
            let _ = write!(text, ", {failed} failed");
        }
        let elapsed = self.start.elapsed();
        let _ = write!(text, "; {} so far", clock(elapsed));
        if let Some(estimate) = self.estimate {
            let _ = write!(text, " of an estimated {}", clock(estimate));
        }
        text
    }

    fn text(&self) -> String {
        let mut table = Table::new(&[
            ("run", Align::Left),
            ("at", Align::Left),
            ("left", Align::Right),
            ("Dice", Align::Left),
        ]);
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        let rank = |row: &&Row| match row.place {
            Place::Running { .. } | Place::Testing => 0,
            Place::Failed => 1,
            Place::Done => 2,
            Place::Waiting => 3,
        };
        rows.sort_by_key(rank);
        rows.truncate(ROWS_SHOWN);
        rows.sort_by_key(|row| row.index);
        for row in rows {
            table.push([row.name.clone(), at(row), left_text(row), row.dice.clone()]);
        }
        format!("{}{}", table.aligned(), self.headline())
    }
}

fn at(row: &Row) -> String {
    match row.place {
        Place::Waiting => "waiting".to_owned(),
        Place::Running { step: 0, .. } => "reading".to_owned(),
        Place::Running { step, .. } => format!("step {step}/{}", row.steps),
        Place::Testing => "testing".to_owned(),
        Place::Done => "done".to_owned(),
        Place::Failed => "failed".to_owned(),
    }
}

fn left(row: &Row) -> String {
    let left = left_text(row);
    if left == UNDEFINED { String::new() } else { format!(", {left} left") }
}

/// Time left of a run's steps, once two of them were seen.
fn left_text(row: &Row) -> String {
    match row.place {
        Place::Running { step, since, first_step } if step > first_step && first_step > 0 => {
            let share = row.steps.saturating_sub(step) as f64 / (step - first_step) as f64;
            clock(since.elapsed().mul_f64(share))
        }
        _ => UNDEFINED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: usize, place: Place) -> Row {
        let name = format!("mscmr-{index}");
        Row { index, name, steps: 450, place, dice: String::new(), last_line: None }
    }

    fn state(places: &[Place]) -> State {
        let rows = places.iter().enumerate().map(|(index, &place)| row(index, place)).collect();
        State { rows, start: Instant::now(), estimate: Some(Duration::from_mins(30)) }
    }

    #[test]
    fn the_headline_counts_runs_and_recalls_the_estimate() {
        let testing = state(&[Place::Done, Place::Testing, Place::Waiting, Place::Failed]);

        assert_eq!(
            testing.headline(),
            "1 of 4 runs done, 1 running, 1 waiting, 1 failed; 0 s so far of an estimated 30 min 0 s"
        );
    }

    #[test]
    fn running_runs_stay_in_sight_of_many() {
        let mut places = [Place::Waiting; 40];
        places[35] = Place::Running { step: 7, since: Instant::now(), first_step: 1 };

        let text = state(&places).text();

        assert!(text.contains("mscmr-35  step 7/450"), "{text}");
        assert_eq!(text.lines().count(), 2 + ROWS_SHOWN + 1);
    }

    #[test]
    fn a_plain_line_is_written_once_in_a_while() {
        let mut state = state(&[Place::Waiting]);

        let lines = [state.step(0, 1, 450), state.step(0, 2, 450), state.step(9, 1, 450)];

        assert_eq!(lines, [Some("step 1 of 450".to_owned()), None, None]);
    }
}
