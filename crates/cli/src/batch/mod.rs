//! Many images: which they are, which of them are this process's, and what became of each.

mod file_record;
mod inputs;
mod manifest;
mod recipe;
mod shard;

pub(crate) use file_record::FileRecord;
pub(crate) use inputs::{Input, collect};
pub(crate) use manifest::{
    Entry, FILE_NAME, Listing, Manifest, SideFile, Status, is_manifest, manifests_in,
};
pub(crate) use recipe::{ModelFile, Precision, Recipe};
pub(crate) use shard::Shard;
