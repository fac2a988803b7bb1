//! The page of `duomo report`: complete in itself, and whole in a browser of any width.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::train;
use crate::{code, duomo, json, stderr};

/// Names under which Chromium is installed.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Sorts a table with an undefined value in both directions, and measures the smallest letters of the charts.
const PROBE: &str = "\
<table id=\"probe\"><thead><tr><th>n</th></tr></thead>
<tbody><tr><td>1</td></tr><tr><td>–</td></tr><tr><td>2</td></tr></tbody></table>";
const MEASURE: &str = "<script>
const probe = document.getElementById('probe');
const sorted = () => {
  probe.querySelector('th').click();
  return [...probe.tBodies[0].rows].map((row) => row.textContent).join(' ');
};
document.documentElement.dataset.order = [sorted(), sorted()].join(', ');
const heights = [...document.querySelectorAll('svg text')].map((text) => text.getBoundingClientRect().height);
document.documentElement.dataset.legible = String(Math.min(...heights) > 11);
</script></body>";

/// The page's elements after its script has run, in a window of this width; `None` without a browser.
fn elements(page: &Path, width: u32) -> Option<String> {
    let profile = tempfile::tempdir().expect("a folder can be made");
    let run = |browser: &&str| {
        Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--window-size={width},900"))
            .arg("--dump-dom")
            .arg(format!("file://{}", page.display()))
            .output()
            .ok()
    };
    let output = BROWSERS.iter().find_map(run)?;
    Some(String::from_utf8(output.stdout).expect("the page is UTF-8"))
}

#[test]
#[expect(clippy::print_stdout, reason = "says what was left out where there is no browser")]
fn a_report_is_one_page_that_fits_every_window() {
    let folder = tempfile::tempdir().unwrap();
    let [data, one, other, page] =
        ["scans", "run <1>", "run 2", "report.html"].map(|name| folder.path().join(name));
    let path = data.to_str().unwrap();
    let phantom = ["phantom", "mscmr", "--out", path, "--patients", "4", "--matrix-scale", "0.12"];
    assert_eq!(code(&duomo(&phantom)), Some(0));
    for (run, extra) in [(&one, &[][..]), (&other, &["--set", "schedule.batch=3"][..])] {
        let trained = train(&data, run, extra);
        assert_eq!(code(&trained), Some(0), "{}", stderr(&trained));
    }

    let runs = [one.to_str().unwrap(), other.to_str().unwrap()];
    let report = |runs: &[&str]| {
        duomo(&[&["report", "--json"], runs, &["--out", page.to_str().unwrap()]].concat())
    };
    let written = report(&runs);
    assert_eq!(code(&written), Some(0), "{}", stderr(&written));
    assert_eq!(json(&written)["runs"].as_array().unwrap().len(), 2);
    let html = fs::read_to_string(&page).unwrap();
    for part in ["Scores: ", "Wilcoxon", "Cases, worst first", "Validation Dice", "BLAKE3"] {
        assert!(html.contains(part), "no {part}");
    }
    assert!(html.contains("run &lt;1&gt;") && !html.contains("run <1>"), "names are escaped");
    for outside in ["http://", "https://", "src=\"/", "href=", "@import", "fetch("] {
        assert!(!html.contains(outside), "the page refers to {outside}");
    }
    let measured = folder.path().join("measured.html");
    let probed = html.replace("</main>", &format!("{PROBE}</main>"));
    fs::write(&measured, probed.replace("</body>", MEASURE)).unwrap();
    for width in [360, 1600] {
        match elements(&page, width).zip(elements(&measured, width)) {
            Some((dom, measured)) => {
                assert!(dom.contains("data-ready=\"true\""), "at a width of {width}");
                assert!(measured.contains("data-legible=\"true\""), "at a width of {width}");
                assert!(measured.contains("data-order=\"1 2 –, 2 1 –\""), "at a width of {width}");
            }
            None => println!("no Chromium here: the page was not opened at a width of {width}"),
        }
    }

    fs::remove_file(other.join("DONE")).unwrap();
    let unfinished = report(&runs);
    assert_eq!(code(&unfinished), Some(3));
    assert!(stderr(&unfinished).contains("is no finished run folder"), "{}", stderr(&unfinished));
    fs::write(one.join("run.json"), "{").unwrap();
    let damaged = report(&runs[..1]);
    assert_eq!(code(&damaged), Some(3));
    assert!(stderr(&damaged).contains("the run folder is damaged"), "{}", stderr(&damaged));
}
