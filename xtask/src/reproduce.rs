//! `cargo xtask reproduce-tables`: the paper's tables and figures from nothing but this tree.

use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

use anyhow::Result;

use crate::console;
use crate::recipes::{DeviceArgs, Duomo, name_or_file};

/// Data sets of the grid, in its order.
const DATASETS: [&str; 2] = ["mscmr", "mmwhs"];

/// Arguments of the recipe.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ReproduceArgs {
    /// Folder of the MS-CMRSeg 2019 challenge; phantoms serve when no data set is given.
    #[arg(long, env = "DUOMO_MSCMR", value_name = "DIR")]
    data_mscmr: Option<PathBuf>,
    /// Folder of the MM-WHS 2017 challenge; phantoms serve when no data set is given.
    #[arg(long, env = "DUOMO_MMWHS", value_name = "DIR")]
    data_mmwhs: Option<PathBuf>,
    /// Name or file of the schedule; `quick` on phantom data and `paper` on real data by default.
    #[arg(long, value_name = "NAME|FILE")]
    schedule: Option<String>,
    /// Seeds 0 to N − 1, each with its own draw of test patients.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u32,
    /// Folds of each seed; 1 draws validation patients instead.
    #[arg(long, value_name = "K", default_value_t = 1)]
    folds: u32,
    /// Runs at a time.
    #[arg(long, value_name = "J", default_value_t = 1)]
    jobs: u16,
    #[command(flatten)]
    device: DeviceArgs,
    /// Name or file of the grid.
    #[arg(long, value_name = "NAME|FILE", default_value = "tables")]
    grid: String,
    /// Folder of the run folders; target/runs/grid when it is left out.
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// Folder for tables and figures; target/tables when it is left out.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Builds the program, makes phantoms if no data is given, does the runs that are missing and
/// writes the tables.
///
/// # Errors
///
/// If the program cannot be built, or if it fails; it has said why.
pub(crate) fn run(root: &Path, args: &ReproduceArgs) -> Result<()> {
    let duomo = args.device.program(root);
    duomo.build()?;
    let (data, usual_schedule) = data(duomo, args)?;
    args.device.say_if_slow(args.schedule.as_deref(), usual_schedule);
    let grid = grid_arguments(&data, usual_schedule, args)?;
    let verb = |verb: &str| [OsString::from("grid"), verb.into()].into_iter().chain(grid.clone());
    let runs = verb("run").chain(["--jobs".into(), args.jobs.to_string().into()]);
    duomo.run(&runs.chain(args.device.arguments()).collect::<Vec<_>>())?;
    let out = args.out.as_deref().map_or_else(|| Ok(root.join("target/tables")), absolute)?;
    let tables = verb("tables").chain(["--out".into(), out.clone().into()]);
    duomo.run(&tables.collect::<Vec<_>>())?;
    console::say(&format!("tables and figures: {}", out.display()));
    Ok(())
}

/// The folder of each data set, and the schedule that suits them.
fn data(duomo: Duomo<'_>, args: &ReproduceArgs) -> Result<(Vec<(String, PathBuf)>, &'static str)> {
    let given = DATASETS.into_iter().zip([&args.data_mscmr, &args.data_mmwhs]);
    let given: Vec<(String, PathBuf)> = given
        .filter_map(|(name, folder)| Some((name.to_owned(), folder.as_ref()?)))
        .map(|(name, folder)| Ok((name, absolute(folder)?)))
        .collect::<Result<_>>()?;
    if !given.is_empty() {
        return Ok((given, "paper"));
    }
    let made = DATASETS.iter().map(|name| Ok(((*name).to_owned(), duomo.phantom(name)?)));
    Ok((made.collect::<Result<_>>()?, "quick"))
}

/// What `duomo grid run` and `duomo grid tables` have in common. Paths given by the user are made
/// absolute, because the program runs in the workspace's root.
fn grid_arguments(
    data: &[(String, PathBuf)],
    usual_schedule: &str,
    args: &ReproduceArgs,
) -> Result<Vec<OsString>> {
    let mut arguments: Vec<OsString> = vec!["--grid".into(), name_or_file(&args.grid)?];
    for (name, folder) in data {
        let mut pair = OsString::from(format!("{name}="));
        pair.push(folder);
        arguments.extend(["--data".into(), pair]);
    }
    let schedule = args.schedule.as_deref().unwrap_or(usual_schedule);
    arguments.extend(["--schedule".into(), name_or_file(schedule)?]);
    arguments.extend(["--seeds".into(), args.seeds.to_string().into()]);
    arguments.extend(["--folds".into(), args.folds.to_string().into()]);
    let runs = match &args.runs {
        Some(runs) => absolute(runs)?,
        None => PathBuf::from("target/runs/grid"),
    };
    arguments.extend(["--runs".into(), runs.into()]);
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(args: &ReproduceArgs, data: &[(String, PathBuf)], usual: &str) -> String {
        let arguments = grid_arguments(data, usual, args).unwrap();
        arguments.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    fn plain() -> ReproduceArgs {
        ReproduceArgs { grid: "tables".into(), seeds: 1, folds: 1, ..ReproduceArgs::default() }
    }

    #[test]
    fn both_data_sets_stand_in_one_grid() {
        let data = DATASETS.map(|name| (name.to_owned(), PathBuf::from("d").join(name)));

        assert_eq!(
            words(&plain(), &data, "quick"),
            "--grid tables --data mscmr=d/mscmr --data mmwhs=d/mmwhs --schedule quick --seeds 1 \
             --folds 1 --runs target/runs/grid"
        );
    }

    #[test]
    fn real_data_leaves_out_what_is_not_given() {
        let args = ReproduceArgs { data_mmwhs: Some("/scans".into()), ..plain() };

        let (data, schedule) =
            data(DeviceArgs::default().program(Path::new("/nowhere")), &args).unwrap();

        assert_eq!(data, [("mmwhs".to_owned(), PathBuf::from("/scans"))]);
        assert_eq!(schedule, "paper");
    }

    #[test]
    fn files_are_found_from_the_workspaces_root() {
        let schedule = Some("mine.toml".to_owned());

        let text = words(&ReproduceArgs { schedule, ..plain() }, &[], "quick");

        let here = std::env::current_dir().unwrap().join("mine.toml");
        assert!(text.contains(&format!("--schedule {}", here.display())), "{text}");
    }
}
