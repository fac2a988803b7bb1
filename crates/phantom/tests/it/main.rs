//! What a synthetic data set must be: reproducible, laid out like the real one, and hard.

mod difficulty;
mod layout;
mod realism;
