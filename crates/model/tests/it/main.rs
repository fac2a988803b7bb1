//! The network and its losses against published values.

// `cfg(test)` on the modules tells clippy that their helpers are tests, where `unwrap` is allowed.
#[cfg(test)]
mod adam;
#[cfg(test)]
mod affinity;
#[cfg(test)]
mod card;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod kinks;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod network;
#[cfg(test)]
mod recipe;
