//! What a synthetic data set must be: reproducible, laid out like the real one, and hard.

// `cfg(test)` tells clippy that every function of these files may unwrap.
#[cfg(test)]
mod difficulty;
#[cfg(test)]
mod layout;
#[cfg(test)]
mod realism;
