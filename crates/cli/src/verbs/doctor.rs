//! `duomo doctor`: what this build and this machine can do.

use std::env;
use std::fs;
use std::thread;

use anyhow::Result;
use duomo_data::Dataset;
use duomo_train::{Experiment, machine::Machine};
use serde::Serialize;

use crate::console;
use crate::exit::{Outcome, usage};
use crate::table::{Align, Table};

mod nvidia;

use nvidia::Nvidia;

/// Arguments of `duomo doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Say how much memory a training step on this data set takes with each schedule: mscmr, mmwhs, a
    /// .toml file, or a folder in nnU-Net's layout.
    #[arg(long, value_name = "NAME|FILE")]
    estimate: Option<String>,
    /// Method of the estimate: single, ummkd, joint, msbn, affinity, csa, or a .toml file.
    #[arg(long, value_name = "NAME|FILE", default_value = "csa", requires = "estimate")]
    method: String,
    /// Schedule of the estimate, a name or a .toml file; all that come with the program if left out.
    #[arg(long, value_name = "NAME|FILE", requires = "estimate")]
    schedule: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the report.
///
/// # Errors
///
/// An experiment that makes no sense (2), or a stdout that cannot be written to (1).
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let report = Report { estimates: estimates(arguments)?, ..Report::gather() };
    if arguments.json {
        console::print_json(&report, "-")?;
    } else {
        console::print(&report.text())?;
    }
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    version: &'static str,
    system: String,
    /// Instruction sets that the arithmetic makes use of, and whether the processor has them.
    cpu_features: Vec<(&'static str, bool)>,
    /// Threads that this process may run at once.
    threads: usize,
    /// `RAYON_NUM_THREADS`, which lowers them.
    rayon_num_threads: Option<String>,
    memory_bytes: Option<u64>,
    /// Limit of the control group, as containers and batch systems set it.
    memory_limit_bytes: Option<u64>,
    /// Whether this build is linked to CUDA.
    cuda: bool,
    nvidia: Nvidia,
    methods: Vec<&'static str>,
    schedules: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    estimates: Vec<Estimate>,
}

/// What a training step takes.
#[derive(Serialize)]
struct Estimate {
    schedule: String,
    method: String,
    width: usize,
    /// Rows and columns of a slice.
    side: usize,
    /// Slices of each modality in a step.
    batch: usize,
    /// About the peak of a step; the patients' images come on top.
    training_bytes: usize,
}

fn estimates(arguments: &Arguments) -> Result<Vec<Estimate>> {
    let Some(dataset) = &arguments.estimate else { return Ok(Vec::new()) };
    let dataset = Dataset::load(dataset).map_err(|error| usage(&error.into()))?;
    let all = duomo_train::SCHEDULES.map(|(name, _)| name.to_owned());
    let schedules = arguments.schedule.clone().map_or(all.to_vec(), |schedule| vec![schedule]);
    let estimate = |schedule: String| {
        let experiment = Experiment::load(dataset.clone(), &arguments.method, &schedule, 0, &[])
            .map_err(|error| usage(&error))?;
        Ok(Estimate {
            method: experiment.method.label.clone(),
            width: experiment.schedule.network.width,
            side: experiment.preparation().crop,
            batch: experiment.schedule.batch,
            training_bytes: experiment.training_bytes(),
            schedule,
        })
    };
    schedules.into_iter().map(estimate).collect()
}

impl Report {
    fn gather() -> Self {
        Self {
            schema: "duomo.doctor/1",
            version: env!("CARGO_PKG_VERSION"),
            system: format!("{} {}", env::consts::OS, env::consts::ARCH),
            cpu_features: cpu_features(),
            threads: thread::available_parallelism().map_or(1, usize::from),
            rayon_num_threads: env::var("RAYON_NUM_THREADS").ok(),
            memory_bytes: fs::read_to_string("/proc/meminfo").ok().and_then(|t| total_memory(&t)),
            memory_limit_bytes: fs::read_to_string("/sys/fs/cgroup/memory.max")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            cuda: cfg!(feature = "cuda"),
            nvidia: Nvidia::new(Machine::look()),
            methods: duomo_train::METHODS.map(|(name, _)| name).to_vec(),
            schedules: duomo_train::SCHEDULES.map(|(name, _)| name).to_vec(),
            estimates: Vec::new(),
        }
    }

    fn text(&self) -> String {
        let mut table = Table::new(&[("duomo", Align::Left), (self.version, Align::Left)]);
        let mut row = |name: &str, value: String| table.push([name.to_owned(), value]);
        let features = self.cpu_features.iter();
        let features =
            features.map(|(name, has)| if *has { (*name).into() } else { format!("no {name}") });
        row("system", self.system.clone());
        row("processor", features.collect::<Vec<_>>().join(", "));
        row(
            "threads",
            match &self.rayon_num_threads {
                Some(limit) => format!("{} (RAYON_NUM_THREADS={limit})", self.threads),
                None => self.threads.to_string(),
            },
        );
        row("memory", self.memory_bytes.map_or("unknown".into(), gibibytes));
        if let Some(limit) = self.memory_limit_bytes {
            row("memory limit", gibibytes(limit));
        }
        for (name, value) in self.nvidia.rows(self.cuda) {
            row(&name, value);
        }
        row("methods", self.methods.join(", "));
        row("schedules", self.schedules.join(", "));
        for Estimate { schedule, method, width, side, batch, training_bytes } in &self.estimates {
            let memory = gibibytes(*training_bytes as u64);
            let step = format!("{method}, width {width}, {batch} slices of {side}² per modality");
            row(&format!("step of {schedule}"), format!("about {memory} ({step})"));
        }
        table.aligned()
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<(&'static str, bool)> {
    vec![
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("AVX-512F", is_x86_feature_detected!("avx512f")),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<(&'static str, bool)> {
    vec![("NEON", cfg!(target_feature = "neon"))]
}

/// The `MemTotal` line of `/proc/meminfo` in bytes.
fn total_memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemFree: 1 kB\nMemTotal:       16384 kB\n";

        assert_eq!(total_memory(text), Some(16 << 20));
        assert_eq!(total_memory("MemTotal: many"), None);
        assert_eq!(gibibytes(3 << 29), "1.5 GiB");
    }
}
