//! A file of any bytes, read as a label map, and written again on its own grid.
#![no_main]

use duomo_data::{read_labels, write_labels};
use duomo_fuzz::{at, file, within_memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = file("labels.nii", bytes);
    let Ok(labels) = within_memory(bytes.len(), || read_labels(&path)) else { return };
    let values = labels.values.to_vec();
    assert_eq!(values.len(), labels.geometry.voxel_count());
    let copy = at("copy.nii");
    // A NIfTI-2 file may have an axis that NIfTI-1 cannot write.
    if write_labels(&copy, &labels.geometry, &values).is_ok() {
        let again = read_labels(&copy).expect("what was written can be read");
        assert_eq!(again.values.to_vec(), values);
        assert_eq!(again.geometry.shape, labels.geometry.shape);
    }
});
