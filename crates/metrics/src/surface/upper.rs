//! The largest of many values, without a list of all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Values that a task gathers before it hands them over.
const BATCH: usize = 512;

/// The largest values of what several tasks find, 0 or more each. Which they are does not depend on
/// the order in which they are found.
#[derive(Debug)]
pub(super) struct Upper {
    keep: usize,
    /// Bits of a value that at least `keep` of the values found reach.
    least: AtomicU64,
    values: Mutex<Vec<f64>>,
}

impl Upper {
    /// Starts to look for the `keep` largest values, at least one.
    pub(super) fn new(keep: usize) -> Self {
        // Memory that grew would be copied each time; what is not written is not taken.
        let values = Vec::with_capacity(Self::held(keep) + BATCH);
        Self { keep, least: AtomicU64::new(0), values: Mutex::new(values) }
    }

    /// Returns how many values are held before all but the largest are dropped.
    fn held(keep: usize) -> usize {
        2 * keep.max(BATCH)
    }

    /// Returns how many values are kept.
    pub(super) fn keep(&self) -> usize {
        self.keep
    }

    /// Returns a value below which none is among the largest.
    pub(super) fn least(&self) -> f64 {
        // A limit of before keeps more values than needed, so the order of reads is free.
        f64::from_bits(self.least.load(Ordering::Relaxed))
    }

    /// Takes over what a task gathered, once that is worth the while.
    pub(super) fn offer(&self, gathered: &mut Vec<f64>) {
        if gathered.len() >= BATCH {
            self.take(gathered);
        }
    }

    /// Takes over what a task gathered.
    pub(super) fn take(&self, gathered: &mut Vec<f64>) {
        // Values are only ever added or dropped here, so they are whole whatever panicked.
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.append(gathered);
        if values.len() >= Self::held(self.keep) {
            let (_, &mut least, _) = values.select_nth_unstable_by(self.keep - 1, descending);
            values.truncate(self.keep);
            self.least.store(least.to_bits(), Ordering::Relaxed);
        }
    }

    /// Returns the largest values, and maybe some more, in no order.
    pub(super) fn into_values(self) -> Vec<f64> {
        self.values.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "so that it can be passed to a selection")]
fn descending(a: &f64, b: &f64) -> std::cmp::Ordering {
    b.total_cmp(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_largest_whatever_comes_first() {
        let ascending: Vec<f64> = (0..40_000u32).map(f64::from).collect();
        let descending: Vec<f64> = ascending.iter().rev().copied().collect();
        for values in [ascending, descending] {
            let upper = Upper::new(100);
            let mut gathered = Vec::new();
            for chunk in values.chunks(1000) {
                gathered.extend(chunk.iter().filter(|value| **value >= upper.least()));
                upper.offer(&mut gathered);
            }
            upper.take(&mut gathered);
            let mut kept = upper.into_values();
            kept.sort_by(f64::total_cmp);
            assert!(kept.len() < 10_000, "{}", kept.len());
            let expected: Vec<f64> = (39_900..40_000u32).map(f64::from).collect();
            assert_eq!(kept[kept.len() - 100..], expected);
        }
    }
}
