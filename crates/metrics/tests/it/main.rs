//! Golden values: this crate against scipy, MedPy, MONAI, MetricsReloaded, surface-distance and
//! SimpleITK.

#[cfg(test)]
mod comparison;
#[cfg(test)]
mod deepmind;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod segmentation;
#[cfg(test)]
mod simpleitk;
#[cfg(test)]
mod wilcoxon;
