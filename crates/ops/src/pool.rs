//! Where many operations are called from.

/// Returns what `work` returns, called on a thread of rayon's pool.
///
/// Each operation shares its work among the pool's threads. A caller that is none of them is put to sleep and woken
/// every time, which in a training step of a narrow network, with its hundreds of operations, takes a twentieth
/// of the time.
///
/// # Panics
///
/// If `work` does.
///
/// # Examples
///
/// ```
/// let thread = duomo_ops::in_pool(rayon::current_thread_index);
/// assert!(thread.is_some());
/// ```
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::join(work, || ()).0
}
