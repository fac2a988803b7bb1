//! A network's numbers, by name.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use rayon::prelude::*;

use crate::error::ShapeConflict;
use crate::init::start_values;
use crate::layers::{ParameterSpec, Role, parameter_specs};
use crate::{Architecture, Error};

/// A network's weights and running statistics, ordered by name.
///
/// | name | shape | |
/// |---|---|---|
/// | `stem`, `output`, `group….weight` | `[K, R, S, C]` | kernels |
/// | `group10.weight` of a transposed head | `[C, R, S, K]` | kernel |
/// | `….norm.gamma`, `….norm.beta` | `[rows, channels]` | one row per modality, or one shared |
/// | `….norm.running_mean`, `….norm.running_var` | `[rows, channels]` | statistics, not trained |
#[derive(Clone, Debug)]
pub struct Parameters {
    trainable: BTreeMap<String, Var>,
    statistics: BTreeMap<String, Var>,
}

impl Parameters {
    /// Returns the start values of an architecture; same seed, same bits, on any number of threads.
    ///
    /// Kernels follow [`crate::Init`]; γ is 1, β 0, running means 0, running variances 1.
    ///
    /// # Errors
    ///
    /// - [`Error::Architecture`] if a key is outside its domain
    /// - [`Error::Tensor`] if the device has not enough memory
    pub fn new(
        architecture: &Architecture,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, Error> {
        architecture.validate()?;
        let specs = parameter_specs(architecture);
        let start = |spec: &ParameterSpec| -> Result<Var, Error> {
            let values = start_values(spec, architecture.init, seed);
            let values = Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?;
            Ok(Var::from_tensor(&values.to_dtype(dtype)?.to_device(device)?)?)
        };
        let vars: Vec<Var> = specs.par_iter().map(start).collect::<Result<_, _>>()?;

        let (mut trainable, mut statistics) = (BTreeMap::new(), BTreeMap::new());
        for (spec, var) in specs.into_iter().zip(vars) {
            let kind = match spec.role {
                Role::Kernel { .. } | Role::Gamma | Role::Beta => &mut trainable,
                Role::RunningMean | Role::RunningVariance => &mut statistics,
            };
            kind.insert(spec.name, var);
        }
        Ok(Self::from_parts(trainable, statistics))
    }

    pub(crate) fn from_parts(
        trainable: BTreeMap<String, Var>,
        statistics: BTreeMap<String, Var>,
    ) -> Self {
        Self { trainable, statistics }
    }

    /// Returns what an optimiser updates: kernels, γ and β.
    pub fn trainable(&self) -> &BTreeMap<String, Var> {
        &self.trainable
    }

    /// Returns the running means and variances of the batch norms.
    pub fn statistics(&self) -> &BTreeMap<String, Var> {
        &self.statistics
    }

    /// Returns the convolution kernels, which the L2 term decays.
    pub fn kernels(&self) -> impl Iterator<Item = (&str, &Var)> {
        let kernels = self.trainable.iter().filter(|(_, var)| is_kernel(var));
        kernels.map(|(name, var)| (name.as_str(), var))
    }

    /// Returns how many weights the kernels have together.
    pub fn count_kernels(&self) -> usize {
        self.kernels().map(|(_, kernel)| kernel.elem_count()).sum()
    }

    /// Returns how many γ and β one modality has.
    pub fn count_norm_per_modality(&self) -> usize {
        let rows = self.trainable.values().filter(|var| !is_kernel(var));
        rows.map(|var| var.dims()[1]).sum()
    }

    /// Returns the device that holds the numbers.
    pub fn device(&self) -> &Device {
        self.any().device()
    }

    /// Returns the type of the numbers.
    pub fn dtype(&self) -> DType {
        self.any().dtype()
    }

    /// Returns copies of all parameters and statistics, which later steps leave as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] if the device has not enough memory.
    pub fn to_tensors(&self) -> Result<BTreeMap<String, Tensor>, Error> {
        let copy = |(name, var): (&String, &Var)| Ok((name.clone(), var.detach().copy()?));
        self.all().map(copy).collect()
    }

    /// Overwrites all parameters and statistics, in place.
    ///
    /// The tensors may be of another floating-point type or on another device. On an error nothing
    /// is overwritten.
    ///
    /// # Errors
    ///
    /// - [`Error::Parameters`] names what is missing, unexpected or of another shape
    /// - [`Error::Tensor`] if a conversion fails
    pub fn load_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<(), Error> {
        self.check_names_and_shapes(tensors)?;
        let convert = |(name, var): (&String, &Var)| {
            let tensor = tensors[name].detach().to_device(var.device())?;
            Ok((var.clone(), tensor.to_dtype(var.dtype())?))
        };
        let converted: Vec<(Var, Tensor)> =
            self.all().map(convert).collect::<Result<_, Error>>()?;
        for (var, tensor) in converted {
            var.set(&tensor)?;
        }
        Ok(())
    }

    /// A parameter or statistic that the architecture is known to have.
    pub(crate) fn get(&self, name: &str) -> Var {
        let found = self.trainable.get(name).or_else(|| self.statistics.get(name));
        found.unwrap_or_else(|| panic!("the layer table has no parameter {name}")).clone()
    }

    fn check_names_and_shapes(&self, tensors: &BTreeMap<String, Tensor>) -> Result<(), Error> {
        let known =
            |name: &String| self.trainable.contains_key(name) || self.statistics.contains_key(name);
        let unexpected: Vec<String> = tensors.keys().filter(|name| !known(name)).cloned().collect();
        let (mut missing, mut mismatched) = (Vec::new(), Vec::new());
        for (name, var) in self.all() {
            match tensors.get(name) {
                None => missing.push(name.clone()),
                Some(tensor) if tensor.dims() != var.dims() => mismatched.push(ShapeConflict {
                    name: name.clone(),
                    given: tensor.dims().to_vec(),
                    expected: var.dims().to_vec(),
                }),
                Some(_) => {}
            }
        }
        if missing.is_empty() && unexpected.is_empty() && mismatched.is_empty() {
            Ok(())
        } else {
            Err(Error::Parameters { missing, unexpected, mismatched })
        }
    }

    fn all(&self) -> impl Iterator<Item = (&String, &Var)> {
        self.trainable.iter().chain(&self.statistics)
    }

    fn any(&self) -> &Var {
        &self.trainable["stem"]
    }
}

fn is_kernel(var: &Var) -> bool {
    var.rank() == 4
}

#[cfg(test)]
mod tests;
