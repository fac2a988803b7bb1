//! Checks the CUDA code on machines without a card: host code by clippy, kernels by `nvcc`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::console;

/// Oldest and newest architecture that the kernels are compiled for.
const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];

/// Crates with code behind the feature `cuda`; others only pass it on.
const PACKAGES: [&str; 2] = ["duomo-ops", "duomo-affinity"];

/// What is linted: everything behind `cuda`, and what only `cudnn` has.
const FEATURES: &str = "duomo-ops/cudnn,duomo-affinity/cuda";

/// Lints with [`FEATURES`], behind a stand-in for `nvcc`: what programs are built of, then every target. Only the
/// latter have the emulator.
///
/// Needs neither a card nor CUDA. What is built lies in a target folder of its own: the stand-in's
/// kernels are empty and must not get into a program.
///
/// # Errors
///
/// If clippy finds anything.
pub(crate) fn lint(root: &Path) -> Result<()> {
    if cfg!(windows) {
        console::say("skipped: the stand-in for nvcc is a shell script");
        return Ok(());
    }
    ["--lib", "--all-targets"].into_iter().try_for_each(|targets| clippy(root, targets))
}

fn clippy(root: &Path, targets: &str) -> Result<()> {
    let standin = root.join("scripts/nvcc-standin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([standin.clone()].into_iter().chain(env::split_paths(&path)))?;
    let mut command = Command::new("cargo");
    // Only build scripts run, so nothing is worth optimising.
    let unoptimised = "profile.dev.package.\"*\".opt-level=0";
    command.args(["clippy", "--config", unoptimised]);
    command.args([targets, "--features", FEATURES, "--target-dir"]);
    command.arg(target_folder(root).join("check-cuda"));
    command.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    command.args(["--", "-D", "warnings"]).current_dir(root).env("PATH", path);
    command.env("NVCC", standin.join("nvcc")).env("CUDA_HOME", &standin);
    let status = command.env("CUDA_COMPUTE_CAP", "90").status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo clippy ended with {status}");
    }
    Ok(())
}

/// Compiles every `.cu` file for each of [`ARCHITECTURES`] with the `nvcc` of a CUDA toolkit.
///
/// # Errors
///
/// If the toolkit has no `nvcc`, there is nothing to compile, or a kernel does not compile without
/// a warning.
pub(crate) fn compile(root: &Path, toolkit: &Path) -> Result<()> {
    let nvcc = toolkit.join("bin/nvcc");
    if !nvcc.exists() {
        bail!("{} does not exist; give the folder of a CUDA toolkit", nvcc.display());
    }
    let mut kernels = Vec::new();
    find_kernels(&root.join("crates"), &mut kernels)?;
    if kernels.is_empty() {
        bail!("no .cu file below crates/");
    }
    let folder = target_folder(root).join("check-cuda");
    fs::create_dir_all(&folder)?;
    for kernel in &kernels {
        for architecture in ARCHITECTURES {
            console::say(&format!("{architecture} {}", kernel.display()));
            let mut command = Command::new(&nvcc);
            command.args(arguments(architecture)).arg("-o").arg(folder.join("kernel.cubin"));
            let output = command.arg(kernel).output().context("cannot run nvcc")?;
            let messages = String::from_utf8_lossy(&output.stderr);
            console::say(&registers(&messages));
            if !output.status.success() {
                bail!("{} does not compile:\n{messages}", kernel.display());
            }
        }
    }
    Ok(())
}

/// Warnings count as errors, registers that spill among them.
fn arguments(architecture: &str) -> Vec<OsString> {
    let arch = format!("-arch={architecture}");
    let words = ["-cubin", &arch, "-Werror", "all-warnings", "-Xptxas"];
    words.into_iter().chain(["-v,-warn-spills,-Werror"]).map(OsString::from).collect()
}

/// What ptxas says about each kernel: its name, then its registers and shared memory.
fn registers(messages: &str) -> String {
    let after = |line: &str, marker: &str| line.split_once(marker).map(|(_, rest)| rest.to_owned());
    let name = |line: &str| Some(format!("  {}", after(line, "entry function ")?));
    let usage = |line: &str| Some(format!("    {}", after(line, "info    : ")?));
    let used = |line: &str| if line.contains(": Used ") { usage(line) } else { None };
    let lines = messages.lines().filter_map(|line| name(line).or_else(|| used(line)));
    lines.collect::<Vec<_>>().join("\n")
}

fn find_kernels(folder: &Path, kernels: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for path in entries.iter().map(fs::DirEntry::path) {
        if path.is_dir() {
            find_kernels(&path, kernels)?;
        } else if path.extension().is_some_and(|extension| extension == "cu") {
            kernels.push(path);
        }
    }
    Ok(())
}

fn target_folder(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_found() {
        let mut kernels = Vec::new();

        find_kernels(&crate::workspace_root().join("crates"), &mut kernels).unwrap();

        let affinity = Path::new("crates/affinity/src/class_affinity/class_affinity.cu");
        assert!(kernels.iter().any(|kernel| kernel.ends_with(affinity)), "{kernels:?}");
    }

    #[test]
    fn what_a_kernel_needs_is_read_from_ptxas() {
        let messages = "ptxas info    : 0 bytes gmem\n\
                        ptxas info    : Compiling entry function 'twice' for 'sm_90'\n\
                        ptxas info    : Used 96 registers, used 1 barriers, 8704 bytes smem\n";

        let lines =
            "  'twice' for 'sm_90'\n    Used 96 registers, used 1 barriers, 8704 bytes smem";
        assert_eq!(registers(messages), lines);
    }

    #[cfg(unix)]
    #[test]
    fn the_standin_answers_as_build_scripts_ask() {
        let nvcc = crate::workspace_root().join("scripts/nvcc-standin/nvcc");
        let version = Command::new(&nvcc).arg("--version").output().unwrap();
        let folder = env::temp_dir().join(format!("duomo-nvcc-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let directory = ["--ptx", "--output-directory", folder.to_str().unwrap(), "src/fill.cu"];

        let ptx = Command::new(&nvcc).args(directory).status().unwrap();

        let text = String::from_utf8(version.stdout).unwrap();
        assert_eq!(
            text.lines().nth(3).and_then(|line| line.split(", ").nth(1)),
            Some("release 13.0")
        );
        assert!(ptx.success() && folder.join("fill.ptx").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
