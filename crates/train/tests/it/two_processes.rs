//! Of two processes on one run folder the second is refused, and leaves the first alone.

use std::fs;

use duomo_phantom::Modality;
use duomo_train::{Silent, train};

use crate::interruptions::{AtStep, twins};
use crate::phantom;

#[test]
fn a_second_process_in_the_folder_is_refused() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let [run, mut other] = twins("joint", &data, &out);
    other.out.clone_from(&run.out);
    other.experiment.seed += 1;
    let [path, hidden] = ["experiment.toml", "hidden.toml"].map(|name| run.out.join(name));
    let mut refusals = vec![];
    let mut observer = AtStep::new(|step| {
        if step == 2 {
            refusals.push(train(&run, &mut Silent).unwrap_err().to_string());
            // As another experiment finds the folder that looks before the run has begun.
            fs::rename(&path, &hidden).unwrap();
            refusals.push(train(&other, &mut Silent).unwrap_err().to_string());
            assert!(!path.exists(), "the experiment that was refused is not the folder's");
            fs::rename(&hidden, &path).unwrap();
        }
    });

    train(&run, &mut observer).unwrap();

    assert_eq!(refusals.len(), 2, "{refusals:?}");
    for refusal in refusals {
        assert!(refusal.contains("another process is at work in"), "{refusal}");
        assert!(refusal.contains(&format!("process {} on ", std::process::id())), "{refusal}");
    }
}
