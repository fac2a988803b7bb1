//! The network and its losses against published values.

mod adam;
mod affinity;
mod fixture;
mod losses;
mod network;
mod recipe;
