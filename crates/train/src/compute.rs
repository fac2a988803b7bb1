//! Where a network computes, and how.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use duomo_ops::cuda::{self, Precision};
use serde::{Deserialize, Serialize};

/// Where a network computes: `cpu`, `cuda` (the first card) or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compute {
    /// The processor, with all of its threads.
    #[default]
    Cpu,
    /// The NVIDIA card of this number, counted from 0.
    Cuda(usize),
}

/// Whether a processor or a card computes, and in which precision: neither bits nor speed of one are another's.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arithmetic {
    /// A processor's `f32`; also of files that were written before they said so.
    #[default]
    CpuF32,
    /// A card's `f32`.
    CudaF32,
    /// A card's [`Precision::Tf32`].
    CudaTf32,
    /// A card's [`Precision::Bf16`].
    CudaBf16,
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CpuF32 => "cpu-f32",
            Self::CudaF32 => "cuda-f32",
            Self::CudaTf32 => "cuda-tf32",
            Self::CudaBf16 => "cuda-bf16",
        })
    }
}

impl fmt::Display for Compute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(card) => write!(formatter, "cuda:{card}"),
        }
    }
}

impl FromStr for Compute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let card = match text.split_once(':') {
            None if text == "cpu" => return Ok(Self::Cpu),
            None if text == "cuda" => Some(0),
            Some(("cuda", card)) => card.parse().ok(),
            _ => None,
        };
        card.map(Self::Cuda).ok_or_else(|| "expected cpu, cuda or cuda:N".to_owned())
    }
}

impl Compute {
    /// Refuses what this program was not built for: a card, or on it another precision than `f32`.
    ///
    /// # Errors
    ///
    /// Says how to build the program that can.
    pub fn check(self, precision: Precision) -> Result<()> {
        let plain = precision == Precision::F32;
        match self {
            Self::Cpu => {
                ensure!(plain, "precision: the CPU computes in f32; others are for --device cuda");
            }
            Self::Cuda(_) if !cuda::AVAILABLE => bail!(
                "this program was built without CUDA; on a machine with CUDA's toolkit 13 build the other in \
                 crates/cli with `cargo build --release --features cuda`, or give --device cpu"
            ),
            Self::Cuda(_) if !plain && !cuda::CUDNN => bail!(
                "precision: this program's own convolutions compute in f32; TF32 and bf16 are cuDNN's: build it \
                 in crates/cli with `cargo build --release --features cudnn`"
            ),
            Self::Cuda(_) => {}
        }
        Ok(())
    }

    /// What computes there, with the precision that was chosen for this process.
    pub fn arithmetic(self) -> Arithmetic {
        self.arithmetic_in(cuda::precision())
    }

    fn arithmetic_in(self, precision: Precision) -> Arithmetic {
        match (self, precision) {
            (Self::Cpu, _) => Arithmetic::CpuF32,
            (Self::Cuda(_), Precision::F32) => Arithmetic::CudaF32,
            (Self::Cuda(_), Precision::Tf32) => Arithmetic::CudaTf32,
            (Self::Cuda(_), Precision::Bf16) => Arithmetic::CudaBf16,
        }
    }

    /// Opens the device.
    ///
    /// # Errors
    ///
    /// A card that is not there or cannot be used.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(card) => cuda::open(card).with_context(|| {
                format!("cannot use card {card}; `duomo doctor` shows what there is")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_as_in_other_programs() {
        assert_eq!("cpu".parse(), Ok(Compute::Cpu));
        assert_eq!("cuda".parse(), Ok(Compute::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(Compute::Cuda(3)));
        for compute in [Compute::Cpu, Compute::Cuda(0), Compute::Cuda(3)] {
            assert_eq!(compute.to_string().parse(), Ok(compute));
        }
        for wrong in ["gpu", "cuda:", "cuda:-1", "cpu:0", ""] {
            assert_eq!(wrong.parse::<Compute>().unwrap_err(), "expected cpu, cuda or cuda:N");
        }
    }

    #[test]
    fn arithmetic_follows_device_and_precision_not_the_card() {
        let names = [
            (Compute::Cpu, Precision::Tf32, "cpu-f32"),
            (Compute::Cuda(0), Precision::F32, "cuda-f32"),
            (Compute::Cuda(1), Precision::Tf32, "cuda-tf32"),
            (Compute::Cuda(2), Precision::Bf16, "cuda-bf16"),
        ];
        for (compute, precision, name) in names {
            let arithmetic = compute.arithmetic_in(precision);
            assert_eq!(arithmetic.to_string(), name);
            assert_eq!(serde_json::to_value(arithmetic).unwrap(), name, "in files, too");
        }
    }

    #[test]
    fn a_build_refuses_what_it_cannot_do_and_says_which_can() {
        let refusal =
            |compute: Compute, precision| compute.check(precision).unwrap_err().to_string();
        assert!(Compute::Cpu.check(Precision::F32).is_ok());
        assert!(refusal(Compute::Cpu, Precision::Bf16).contains("--device cuda"));
        if !cuda::AVAILABLE {
            assert!(refusal(Compute::Cuda(0), Precision::F32).contains("--features cuda`"));
            assert!(Compute::Cuda(0).open().is_err());
        }
        if cuda::AVAILABLE && !cuda::CUDNN {
            assert!(refusal(Compute::Cuda(0), Precision::Tf32).contains("--features cudnn`"));
        }
    }
}
