//! Tells the crate which commit it is built from, with `-dirty` where sources of it have changed since.
//!
//! Without a repository of its own, such as in an archive, it says `unknown`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What this crate is compiled from, so that watching it compiles nothing that would not be compiled anyway.
const SOURCES: [&str; 10] = [
    "build.rs",
    "src",
    "../affinity/src",
    "../data/src",
    "../metrics/src",
    "../model/src",
    "../ops/src",
    "../../Cargo.lock",
    "../../datasets",
    "../../experiments",
];

fn main() {
    let sources = SOURCES.iter().map(PathBuf::from);
    // A file that is not there would count as changed each time.
    for path in sources.chain(["HEAD", "logs/HEAD"].map(git_path).into_iter().flatten()) {
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    println!("cargo::rustc-env=DUOMO_COMMIT={}", commit().as_deref().unwrap_or("unknown"));
}

/// The commit, if the repository is the workspace's: an archive may lie in somebody else's.
fn commit() -> Option<String> {
    let top = Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    let workspace = Path::new("../..").canonicalize().ok()?;
    let commit = git(&["rev-parse", "HEAD"]).filter(|_| top == workspace)?;
    let unchanged = git(&[&["diff", "--quiet", "HEAD", "--"], &SOURCES[..]].concat()).is_some();
    Some(if unchanged { commit } else { format!("{commit}-dirty") })
}

fn git_path(name: &str) -> Option<PathBuf> {
    git(&["rev-parse", "--git-path", name]).map(PathBuf::from)
}

/// What git says, if it does what it is asked for.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout))?.ok()?;
    Some(text.trim().to_owned())
}
