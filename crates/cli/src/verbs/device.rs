//! `--device` and `--precision`, the same for every verb that computes.

use anyhow::Result;
use clap::ValueEnum;
use duomo_train::{Compute, Precision, set_precision};

use crate::exit::usage;

/// Where to compute, and how.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct DeviceArguments {
    /// Where to compute: the processor, or an NVIDIA card, counted from 0, in a program built with CUDA.
    #[arg(long, value_name = "cpu|cuda[:N]", default_value = "cpu")]
    device: Compute,
    /// Arithmetic of convolutions and affinities on a card with cuDNN; weights, sums, statistics and losses stay f32.
    #[arg(long, value_enum, default_value_t = WhichPrecision::F32)]
    precision: WhichPrecision,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhichPrecision {
    /// f32 throughout.
    F32,
    /// Products of numbers rounded to 11 bits.
    Tf32,
    /// Products of numbers rounded to 8 bits.
    Bf16,
}

impl DeviceArguments {
    /// Where to compute, with the precision set for this process.
    ///
    /// # Errors
    ///
    /// What this program was not built for (2).
    pub(super) fn compute(self) -> Result<Compute> {
        let precision = match self.precision {
            WhichPrecision::F32 => Precision::F32,
            WhichPrecision::Tf32 => Precision::Tf32,
            WhichPrecision::Bf16 => Precision::Bf16,
        };
        self.device.check(precision).map_err(|error| usage(&error))?;
        set_precision(precision);
        Ok(self.device)
    }

    /// The arguments that say the same to another process.
    pub(super) fn words(self) -> [String; 4] {
        let precision = self.precision.to_possible_value().expect("no precision is hidden");
        let (device, precision) = (self.device.to_string(), precision.get_name().to_owned());
        ["--device".to_owned(), device, "--precision".to_owned(), precision]
    }
}
