//! Whole runs on small phantoms.

mod grid;
mod runs;
