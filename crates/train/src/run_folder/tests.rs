use super::*;
use crate::network::testing::experiment;

fn opened(root: &Path, experiment: &Experiment) -> RunFolder {
    RunFolder::open(root, experiment, Resume::Auto).unwrap()
}

#[test]
fn of_two_processes_that_found_no_run_the_second_leaves_the_firsts_experiment() {
    let out = tempfile::tempdir().unwrap();
    let [first, second] =
        [4, 5].map(|steps| experiment("csa", &[&format!("schedule.steps={steps}")]));
    let folders = [&first, &second].map(|experiment| opened(out.path(), experiment));

    let lock = folders[0].begin(&first, Resume::Auto).unwrap();
    let during = folders[1].begin(&second, Resume::Auto).unwrap_err().to_string();
    drop(lock);
    let after = folders[1].begin(&second, Resume::Auto).unwrap_err().to_string();

    assert!(during.contains("another process is at work in"), "{during}");
    assert!(after.contains("holds a run of another experiment"), "{after}");
    let found = fs::read_to_string(folders[0].experiment()).unwrap();
    assert_eq!(found, resolved(&first).unwrap());
}

#[test]
fn a_run_that_never_resumes_begins_where_nothing_but_its_lock_is() {
    let out = tempfile::tempdir().unwrap();
    let experiment = experiment("csa", &[]);
    let folder = RunFolder::open(out.path(), &experiment, Resume::Never).unwrap();

    drop(folder.begin(&experiment, Resume::Never).unwrap());
    let again = folder.begin(&experiment, Resume::Never).unwrap_err().to_string();

    assert!(again.contains("already holds a run"), "{again}");
}

#[test]
fn lines_after_a_step_and_lines_cut_short_are_dropped_also_inside_a_character() {
    let out = tempfile::tempdir().unwrap();
    let folder = opened(out.path(), &experiment("csa", &[]));
    let kept = "{\"step\":1,\"name\":\"é\"}\n{\"step\":2}\n";
    let cut = [kept.as_bytes(), b"{\"step\":3}\n{\"step\":2,\"name\":\"\xc3"].concat();
    fs::write(folder.metrics(), cut).unwrap();

    folder.truncate_metrics(2).unwrap();
    assert_eq!(fs::read_to_string(folder.metrics()).unwrap(), kept);

    fs::write(folder.metrics(), kept.trim_end()).unwrap();
    folder.truncate_metrics(2).unwrap();
    assert_eq!(fs::read_to_string(folder.metrics()).unwrap(), kept);
}

#[test]
fn metrics_that_cannot_be_read_are_an_error() {
    let out = tempfile::tempdir().unwrap();
    let folder = opened(out.path(), &experiment("csa", &[]));
    folder.truncate_metrics(2).unwrap();
    fs::create_dir(folder.metrics()).unwrap();

    let error = folder.truncate_metrics(2).unwrap_err().to_string();

    assert!(error.contains("metrics.jsonl"), "{error}");
}
