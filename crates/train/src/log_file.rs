//! `log.txt`: what a run said, with the time, whoever watched it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;

use crate::observer::{Event, Observer};
use crate::run_folder::unwritable;

/// How often a step is written; `metrics.jsonl` has every one.
const STEPS_EVERY: Duration = Duration::from_secs(10);

/// Hands events on to an observer and writes them to a file.
///
/// A run must not end for its log: once open, lines that cannot be written are lost.
pub(crate) struct LogFile<'a> {
    observer: &'a mut dyn Observer,
    file: Option<File>,
    /// Lines from before the run had a folder.
    waiting: String,
    last_step: Option<Instant>,
}

impl<'a> LogFile<'a> {
    /// Keeps lines until there is a file.
    pub(crate) fn new(observer: &'a mut dyn Observer) -> Self {
        Self { observer, file: None, waiting: String::new(), last_step: None }
    }

    /// From now on lines go to the end of a file, those from before first.
    ///
    /// # Errors
    ///
    /// A file that cannot be opened.
    pub(crate) fn open(&mut self, path: &Path) -> Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        self.file = Some(file.map_err(|reason| unwritable(path, reason))?);
        let waiting = std::mem::take(&mut self.waiting);
        self.write(&waiting);
        Ok(())
    }

    /// Writes a line of the run's own.
    pub(crate) fn line(&mut self, kind: &str, text: &str) {
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        let kind = if kind.is_empty() { String::new() } else { format!("{kind}: ") };
        let line = format!("{now}  {kind}{text}\n");
        self.write(&line);
    }

    fn write(&mut self, lines: &str) {
        match &mut self.file {
            None => self.waiting.push_str(lines),
            Some(file) => {
                let _ = file.write_all(lines.as_bytes());
            }
        }
    }

    fn step(&mut self, text: &str, is_last: bool) {
        let now = Instant::now();
        if is_last || self.last_step.is_none_or(|last| now - last >= STEPS_EVERY) {
            self.last_step = Some(now);
            self.line("", text);
        }
    }
}

impl Observer for LogFile<'_> {
    fn event(&mut self, event: &Event<'_>) {
        let number = |dice: Option<f64>| dice.map_or("–".to_owned(), |dice| format!("{dice:.3}"));
        match event {
            Event::Message(text) => self.line("", text),
            Event::Warning(text) => self.line("warning", text),
            Event::Step { step, steps, terms, slices_per_second } => self.step(
                &format!(
                    "step {step}/{steps}: loss {:.4}, {slices_per_second:.0} slices/s",
                    terms.total
                ),
                step == steps,
            ),
            Event::Validation { step, dice, best } => {
                let scores = dice.iter().map(|(name, dice)| format!(" {name} {}", number(*dice)));
                let best = if *best { ", best so far" } else { "" };
                let scores = scores.collect::<String>();
                self.line("", &format!("step {step}: validation Dice{scores}{best}"));
            }
            Event::TestCase { case, modality, dice } => {
                self.line("", &format!("test {modality} {case}: Dice {}", number(*dice)));
            }
        }
        self.observer.event(event);
    }

    fn wants_stop(&self) -> bool {
        self.observer.wants_stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    #[test]
    fn lines_from_before_the_file_come_first_and_a_second_run_goes_on_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        for _ in 0..2 {
            let mut silent = Silent;
            let mut log = LogFile::new(&mut silent);
            log.event(&Event::Warning("two files are left out"));
            log.open(&path).unwrap();
            log.event(&Event::Message("begun"));
        }

        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| &line[20..]).collect();
        let expected = ["  warning: two files are left out", "  begun"];
        assert_eq!(lines, [expected, expected].concat());
        let stamp = &text[..20];
        assert!(stamp.starts_with("20") && stamp.ends_with('Z'), "{stamp}");
    }

    #[test]
    fn of_many_steps_the_first_and_the_last_are_written() {
        let mut silent = Silent;
        let mut log = LogFile::new(&mut silent);
        (1..=5).for_each(|step| log.step(&format!("step {step}"), step == 5));

        assert_eq!(log.waiting.lines().count(), 2);
        assert!(log.waiting.contains("step 1") && log.waiting.contains("step 5"));
    }
}
