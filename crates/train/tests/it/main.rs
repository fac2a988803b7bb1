//! Whole runs on small phantoms.

mod runs;
