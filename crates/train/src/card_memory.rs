//! What helps when a card runs out of memory.

use candle_core::DeviceLocation;
use duomo_ops::cuda::machine::Machine;

use crate::compute::Compute;
use crate::experiment::Experiment;

/// Adds to an error of a run's networks or of a step that ran out of a card's memory what the step takes and what would fit.
pub(crate) fn explain_memory(
    error: anyhow::Error,
    experiment: &Experiment,
    compute: Compute,
) -> anyhow::Error {
    match compute {
        Compute::Cuda(card) if ran_out(&error) => {
            error.context(advice(experiment, memory_of(card)))
        }
        _ => error,
    }
}

/// Adds to an error of a pass that ran out of a card's memory how much its largest maps take, `bytes`, and what would
/// help. It has as few slices as prediction makes it, so fewer are no remedy.
pub(crate) fn explain_memory_of_pass(
    error: anyhow::Error,
    [slices, side]: [usize; 2],
    bytes: usize,
    device: DeviceLocation,
) -> anyhow::Error {
    match device {
        DeviceLocation::Cuda { gpu_id } if ran_out(&error) => {
            error.context(advice_on_pass([slices, side], bytes as u64, memory_of(gpu_id)))
        }
        _ => error,
    }
}

/// Adds to an error of the weights of a model, `bytes`, on their way to a card that has no room for them, what would
/// help. Errors of other kinds come back as `Err`.
pub(crate) fn explain_memory_of_model(
    error: anyhow::Error,
    bytes: usize,
    device: DeviceLocation,
) -> Result<anyhow::Error, anyhow::Error> {
    match device {
        DeviceLocation::Cuda { gpu_id } if ran_out(&error) => {
            Ok(error.context(advice_on_model(bytes as u64, memory_of(gpu_id))))
        }
        _ => Err(error),
    }
}

/// Whether a card's memory was too small.
pub(crate) fn ran_out(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    text.contains("out of memory") || text.contains("out_of_memory")
}

/// Bytes of a card's memory, if the driver tells.
fn memory_of(card: usize) -> Option<u64> {
    Machine::look().cards.get(card).map(|card| card.memory_bytes)
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// What a step takes, and the largest batch whose step takes at most the card's memory.
fn advice(experiment: &Experiment, memory_bytes: Option<u64>) -> String {
    let taken = |batch: usize| {
        let mut smaller = experiment.clone();
        smaller.schedule.batch = batch;
        smaller.training_bytes() as u64
    };
    let batch = experiment.schedule.batch;
    let text = format!(
        "the card ran out of memory: with schedule.batch={batch} a step takes about {} and the kernels' \
         workspace{}",
        gibibytes(taken(batch)),
        has(memory_bytes)
    );
    let room = memory_bytes.unwrap_or(u64::MAX);
    match (1..batch).rev().find(|&batch| taken(batch) <= room) {
        Some(fits) => text + &format!("; try --set schedule.batch={fits}"),
        None => text + "; a smaller schedule.network.width or schedule.preparation.crop is left",
    }
}

/// What a pass takes, and what would help.
fn advice_on_pass([slices, side]: [usize; 2], bytes: u64, memory_bytes: Option<u64>) -> String {
    let slices = match slices {
        1 => format!("a slice of {side}²"),
        _ => format!("{slices} slices of {side}² at once"),
    };
    format!(
        "the card ran out of memory: the maps of {slices} take about {}, weights and the kernels' workspace \
         aside{}; {}",
        gibibytes(bytes),
        has(memory_bytes),
        remedy(bytes, memory_bytes)
    )
}

/// What the weights of a model take, and what would help.
fn advice_on_model(bytes: u64, memory_bytes: Option<u64>) -> String {
    // They arrive beside the start values that they replace.
    let bytes = 2 * bytes;
    format!(
        "the card ran out of memory: to take the model's weights needs about {}{}; {}",
        gibibytes(bytes),
        has(memory_bytes),
        remedy(bytes, memory_bytes)
    )
}

/// Of a card whose memory is too small, no part is left to be freed.
fn remedy(bytes: u64, memory_bytes: Option<u64>) -> &'static str {
    if memory_bytes.is_some_and(|memory| memory < bytes) {
        "give --device cpu"
    } else {
        "end other programs on it, or give another card or --device cpu"
    }
}

fn has(memory_bytes: Option<u64>) -> String {
    memory_bytes.map_or_else(String::new, |bytes| format!(", the card has {}", gibibytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::testing::experiment;

    fn out_of_memory() -> anyhow::Error {
        anyhow::anyhow!("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")")
    }

    #[test]
    fn a_card_too_small_is_told_the_batch_that_fits() {
        let experiment = experiment("csa", &["schedule.batch=8"]);
        let mut half = experiment.clone();
        half.schedule.batch = 4;

        let text = advice(&experiment, Some(half.training_bytes() as u64));

        assert!(text.ends_with("try --set schedule.batch=4"), "{text}");
        assert!(advice(&experiment, Some(1)).ends_with("schedule.preparation.crop is left"));
        let error = explain_memory(out_of_memory(), &experiment, Compute::Cuda(99));
        assert!(error.to_string().contains("with schedule.batch=8 a step takes"), "{error}");
    }

    #[test]
    fn a_pass_that_does_not_fit_says_what_it_takes_and_a_fault_of_another_kind_nothing() {
        let card = DeviceLocation::Cuda { gpu_id: 99 };
        let explained =
            |error, device| explain_memory_of_pass(error, [8, 256], 3 << 29, device).to_string();

        assert_eq!(
            explained(out_of_memory(), card),
            "the card ran out of memory: the maps of 8 slices of 256² at once take about 1.5 GiB, weights and the \
             kernels' workspace aside; end other programs on it, or give another card or --device cpu"
        );
        assert!(explained(out_of_memory(), DeviceLocation::Cpu).starts_with("DriverError"));
        assert_eq!(explained(anyhow::anyhow!("no kernel"), card), "no kernel");
        let hopeless = advice_on_pass([1, 4096], 2 << 30, Some(1 << 30));
        assert!(hopeless.contains("the maps of a slice of 4096² take about 2.0 GiB"), "{hopeless}");
        assert!(hopeless.ends_with("aside, the card has 1.0 GiB; give --device cpu"), "{hopeless}");
    }

    #[test]
    fn weights_that_do_not_fit_say_what_they_take_and_a_fault_of_another_kind_nothing() {
        let card = DeviceLocation::Cuda { gpu_id: 99 };

        let explained = explain_memory_of_model(out_of_memory(), 3 << 28, card).unwrap();
        let others = [
            explain_memory_of_model(out_of_memory(), 1, DeviceLocation::Cpu),
            explain_memory_of_model(anyhow::anyhow!("no kernel"), 1, card),
        ];

        assert_eq!(
            explained.to_string(),
            "the card ran out of memory: to take the model's weights needs about 1.5 GiB; end other programs on \
             it, or give another card or --device cpu"
        );
        assert!(others.iter().all(Result::is_err), "{others:?}");
        let hopeless = advice_on_model(3 << 29, Some(2 << 30));
        assert!(
            hopeless.ends_with("3.0 GiB, the card has 2.0 GiB; give --device cpu"),
            "{hopeless}"
        );
    }
}
