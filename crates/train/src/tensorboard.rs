//! Scalars as TensorBoard event files: `TFRecord` framing around a few protobuf fields.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::run_folder::unwritable;

/// Appends scalars to one `events.out.tfevents` file.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Opens the event file of a run folder, and begins it when it does not exist yet.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, with the path.
    pub(crate) fn open(folder: &Path) -> Result<Self, duomo_data::Error> {
        let path = event_path(folder);
        let begun = path.exists();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|reason| unwritable(&path, reason))?;
        let mut events = Self { path, file };
        if !begun {
            let mut version = Vec::new();
            put_double(&mut version, 1, 0.0);
            put_bytes(&mut version, 3, b"brain.Event:2");
            events.write_record(&version)?;
        }
        Ok(events)
    }

    /// Appends one scalar under `tag` at `step`; `seconds` is the wall time it is shown at.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, with the path.
    #[expect(clippy::cast_possible_truncation, reason = "TensorBoard's simple_value is a float")]
    pub(crate) fn scalar(
        &mut self,
        tag: &str,
        value: f64,
        step: u64,
        seconds: f64,
    ) -> Result<(), duomo_data::Error> {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, tag.as_bytes());
        put_tag(&mut entry, 2, FIXED32);
        entry.extend_from_slice(&(value as f32).to_le_bytes());
        let mut summary = Vec::new();
        put_bytes(&mut summary, 1, &entry);
        let mut event = Vec::new();
        put_double(&mut event, 1, seconds);
        put_tag(&mut event, 2, VARINT);
        put_varint(&mut event, step);
        put_bytes(&mut event, 5, &summary);
        self.write_record(&event)
    }

    /// One `TFRecord`: length, its masked checksum, the bytes, their masked checksum.
    fn write_record(&mut self, bytes: &[u8]) -> Result<(), duomo_data::Error> {
        let length = (bytes.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(bytes.len() + 16);
        record.extend_from_slice(&length);
        record.extend_from_slice(&masked_crc32c(&length).to_le_bytes());
        record.extend_from_slice(bytes);
        record.extend_from_slice(&masked_crc32c(bytes).to_le_bytes());
        self.file.write_all(&record).map_err(|reason| unwritable(&self.path, reason))
    }
}

fn event_path(folder: &Path) -> PathBuf {
    folder.join("events.out.tfevents.0.duomo")
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;
const FIXED32: u8 = 5;

fn put_tag(out: &mut Vec<u8>, field: u8, wire_type: u8) {
    out.push(field << 3 | wire_type);
}

fn put_double(out: &mut Vec<u8>, field: u8, value: f64) {
    put_tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_tag(out, field, LENGTH_DELIMITED);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// The checksum of a `TFRecord`: CRC-32C, rotated and offset so that checksums of checksums stay useful.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: records are a hundred bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_agree_with_the_published_vector() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_file_is_a_version_record_and_one_record_per_scalar() {
        let folder = tempfile::tempdir().unwrap();

        EventFile::open(folder.path()).unwrap().scalar("loss/total", 0.5, 300, 12.0).unwrap();
        EventFile::open(folder.path()).unwrap().scalar("loss/total", 0.25, 301, 13.0).unwrap();

        let bytes = std::fs::read(event_path(folder.path())).unwrap();
        let records = records(&bytes);
        assert_eq!(records.len(), 3);
        assert!(records[0].ends_with(b"brain.Event:2"));
        assert!(records[1].windows(10).any(|window| window == b"loss/total"));
        assert!(records[1].ends_with(&0.5f32.to_le_bytes()));
        assert_eq!(&records[2][9..12], &[2 << 3, 0xad, 0x02], "step 301 as a varint");
    }

    /// Splits a file of `TFRecord`s, checking every checksum.
    fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            let length = usize::try_from(length).unwrap();
            assert_eq!(bytes[8..12], masked_crc32c(&bytes[..8]).to_le_bytes());
            let record = &bytes[12..12 + length];
            assert_eq!(bytes[12 + length..16 + length], masked_crc32c(record).to_le_bytes());
            records.push(record);
            bytes = &bytes[16 + length..];
        }
        records
    }
}
