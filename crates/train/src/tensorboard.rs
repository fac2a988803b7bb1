//! Scalars as TensorBoard event files: `TFRecord` framing around a few protobuf fields.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind::NotFound;
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
    /// Of what it holds, the records up to `step` stay: a killed run may have logged steps that the checkpoint
    /// it resumes from does not hold, and behind a record that was cut short no reader would find another.
    ///
    /// # Errors
    ///
    /// Whatever the file system refuses, with the path.
    pub(crate) fn open(folder: &Path, step: u64) -> Result<Self, duomo_data::Error> {
        let path = event_path(folder);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == NotFound => Vec::new(),
            Err(reason) => return Err(duomo_data::Error::Read { path, reason }),
        };
        let kept = Records { bytes: &bytes }.take_while(|record| step_of(record) <= step);
        let kept: usize = kept.map(|record| record.len() + FRAME).sum();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let cut = file.and_then(|file| file.set_len(kept as u64).map(|()| file));
        let file = cut.map_err(|reason| unwritable(&path, reason))?;
        let mut events = Self { path, file };
        if kept == 0 {
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
        let mut record = Vec::with_capacity(bytes.len() + FRAME);
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

/// Bytes of a record's length and of its two checksums.
const FRAME: usize = 16;

/// The contents of the records of a file, up to the first that is not whole.
struct Records<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.bytes.split_first_chunk()?;
        let rest = checked(length, rest)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        self.bytes = checked(record, rest)?;
        Some(record)
    }
}

/// What follows the checksum of `bytes` at the start of `rest`, if it is right.
fn checked<'a>(bytes: &[u8], rest: &'a [u8]) -> Option<&'a [u8]> {
    let (checksum, rest) = rest.split_first_chunk()?;
    (u32::from_le_bytes(*checksum) == masked_crc32c(bytes)).then_some(rest)
}

/// The step of an event as this file writes them, 0 if it has none: the time, then the step.
fn step_of(event: &[u8]) -> u64 {
    const AT: usize = 1 + size_of::<f64>();
    match event.get(AT..) {
        Some([tag, step @ ..]) if *tag == 2 << 3 | VARINT => varint(step),
        _ => 0,
    }
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

/// The varint at the start of some bytes.
fn varint(bytes: &[u8]) -> u64 {
    const MOST: usize = 10;
    let last = bytes.iter().take_while(|&&byte| byte >= 0x80).count();
    let groups = bytes.iter().take((last + 1).min(MOST)).enumerate();
    groups.fold(0, |value, (at, &byte)| value | u64::from(byte & 0x7f) << (7 * at))
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

        EventFile::open(folder.path(), 0).unwrap().scalar("loss/total", 0.5, 300, 12.0).unwrap();
        EventFile::open(folder.path(), 300).unwrap().scalar("loss/total", 0.25, 301, 13.0).unwrap();

        let bytes = fs::read(event_path(folder.path())).unwrap();
        let records = records(&bytes);
        assert_eq!(records.len(), 3);
        assert!(records[0].ends_with(b"brain.Event:2"));
        assert!(records[1].windows(10).any(|window| window == b"loss/total"));
        assert!(records[1].ends_with(&0.5f32.to_le_bytes()));
        assert_eq!(&records[2][9..12], &[2 << 3, 0xad, 0x02], "step 301 as a varint");
    }

    /// An event file of three steps.
    fn three_steps(folder: &Path) -> Vec<u8> {
        let mut events = EventFile::open(folder, 0).unwrap();
        for step in [1, 300, 70_000] {
            events.scalar("loss/total", 0.5, step, 12.0).unwrap();
        }
        fs::read(event_path(folder)).unwrap()
    }

    #[test]
    fn steps_that_are_done_once_more_are_cut_off() {
        for (step, left) in [(0, 1), (1, 2), (299, 2), (300, 3), (69_999, 3), (70_000, 4)] {
            let folder = tempfile::tempdir().unwrap();
            let before = three_steps(folder.path());

            EventFile::open(folder.path(), step).unwrap();

            let after = fs::read(event_path(folder.path())).unwrap();
            assert!(before.starts_with(&after));
            assert_eq!(records(&after).len(), left, "step {step}");
        }
    }

    #[test]
    fn a_record_that_was_cut_short_or_damaged_hides_nothing_that_comes_after_it() {
        let whole = three_steps(tempfile::tempdir().unwrap().path());
        let last = whole.len() - FRAME - records(&whole)[3].len();
        let mut wrong = whole.clone();
        wrong[last + 14] ^= 1;
        let mut endless = whole.clone();
        endless[last..last + 8].fill(0xff);
        let cut = (last..whole.len()).map(|length| whole[..length].to_vec());
        for damaged in cut.chain([wrong, endless]) {
            let folder = tempfile::tempdir().unwrap();
            fs::write(event_path(folder.path()), &damaged).unwrap();

            let mut events = EventFile::open(folder.path(), u64::MAX).unwrap();
            events.scalar("rate", 0.25, 70_001, 12.0).unwrap();

            let bytes = fs::read(event_path(folder.path())).unwrap();
            let records = records(&bytes);
            assert_eq!(records.len(), 4, "{} bytes", damaged.len());
            assert!(records[3].windows(4).any(|window| window == b"rate"));
        }
    }

    /// Splits a file that must hold whole records and nothing else.
    fn records(bytes: &[u8]) -> Vec<&[u8]> {
        let records: Vec<_> = Records { bytes }.collect();
        let whole: usize = records.iter().map(|record| FRAME + record.len()).sum();
        assert_eq!(whole, bytes.len());
        records
    }
}
