//! What is prepared on a thread of its own while a card computes.

use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

/// Hands over what `prepare` makes of each step in turn, on a thread of its own that is at most two steps ahead.
///
/// The thread ends with the steps, or when the receiver is dropped.
pub(crate) fn prepare_ahead<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    steps: RangeInclusive<u64>,
    prepare: impl Fn(u64) -> T + Send + 'scope,
) -> Receiver<T> {
    let (sender, receiver) = sync_channel(1);
    scope.spawn(move || {
        for step in steps {
            if sender.send(prepare(step)).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn steps_come_in_order_and_few_of_them_ahead() {
        let prepared = AtomicU64::new(0);
        thread::scope(|scope| {
            let prepare = |step| {
                prepared.store(step, Ordering::SeqCst);
                step
            };
            let steps = prepare_ahead(scope, 3..=40, prepare);
            for step in 3..=10 {
                assert_eq!(steps.recv(), Ok(step));
                assert!(prepared.load(Ordering::SeqCst) <= step + 2);
            }
            // Dropped early: the scope must end all the same.
        });
        assert!(prepared.load(Ordering::SeqCst) <= 12);
    }
}
