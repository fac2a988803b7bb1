//! Golden values: this crate against scipy, MedPy, MONAI and MetricsReloaded.

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod segmentation;
#[cfg(test)]
mod wilcoxon;
