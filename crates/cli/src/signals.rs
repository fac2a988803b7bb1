//! Signals that ask the program to stop: the first lets it save its work, the second ends it at once.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The number of the signal that came; 0 before.
static CAUGHT: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on, an interrupt (Ctrl-C) or a request to terminate is noted instead of ending the program.
///
/// # Errors
///
/// If the system refuses a handler.
pub(crate) fn catch() -> io::Result<()> {
    let caught = CAUGHT.get_or_init(Arc::default);
    let again = Arc::new(AtomicBool::new(false));
    for (signal, number) in [(SIGINT, 2), (SIGTERM, 15)] {
        // In this order: the first signal arms what only the second one meets.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
        flag::register(signal, Arc::clone(&again))?;
        flag::register_usize(signal, Arc::clone(caught), number)?;
    }
    Ok(())
}

/// The number of the signal that came, if one did.
pub(crate) fn caught() -> Option<u8> {
    let number = CAUGHT.get()?.load(Ordering::Relaxed);
    u8::try_from(number).ok().filter(|&number| number > 0)
}
