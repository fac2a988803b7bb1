//! Reading, segmenting and writing, each on a thread of its own.
//!
//! Cases go through in order, one in each stage and at most [`WAITING`] between two, so that the
//! network never waits for a disk and memory does not grow with the number of cases.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::Result;

use super::case::{Ended, Job, Work};
use crate::signals;

/// Cases that may wait between two stages.
const WAITING: usize = 1;

/// What `duomo predict --help` says about memory.
pub(super) const MEMORY_HELP: &str = "\
Memory: however many cases there are, at most three images are in memory at once (being read, waiting, in \
the network; four bytes a voxel), with --pictures five, and three label maps (one byte a voxel), beside the \
file being read or written, the network's weights and the maps of one pass (192 MiB while a single slice \
needs no more).

A killed batch goes on with the same command: finished cases are skipped if image, label map, model and \
modality are as manifest.jsonl says. Ctrl-C ends it after the case in the network; twice, at once.";

/// Does every job and hands what became of it to `finished`, in the order of `jobs`.
///
/// After a signal, what is already segmented is still written, and nothing else begun.
///
/// # Errors
///
/// Those of `finished`, and a folder that cannot be written to.
pub(super) fn run(
    jobs: &[Job],
    work: &Work,
    mut finished: impl FnMut(Ended) -> Result<()> + Send,
) -> Result<()> {
    thread::scope(|scope| {
        let (to_infer, read) = sync_channel(WAITING);
        let (to_write, segmented) = sync_channel(WAITING);
        // A channel closes when a later stage has ended, and so ends the earlier ones.
        scope.spawn(move || {
            for job in jobs {
                if signals::caught().is_some() || to_infer.send((job, work.read(job))).is_err() {
                    break;
                }
            }
        });
        let writer = scope.spawn(move || {
            for (job, item) in segmented {
                finished(work.write(job, item?)?)?;
            }
            Ok(())
        });
        // The network stays on this thread, whose memory is kept from pass to pass.
        for (job, item) in read {
            if signals::caught().is_some() {
                break;
            }
            let item = item.and_then(|item| work.infer(job, item));
            if to_write.send((job, item)).is_err() {
                break;
            }
        }
        drop(to_write);
        writer.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
