//! What the report says about NVIDIA cards, and what to do about what is missing.

use duomo_train::machine::{Card, Driver, Machine};
use serde::Serialize;

use super::gibibytes;

/// How a program that is linked to CUDA is built.
const BUILD: &str = "cargo install --path crates/cli --features cuda";

/// Oldest cards that CUDA 13 makes code for.
const CAPABILITY_MIN: [i32; 2] = [7, 5];

#[derive(Serialize)]
pub(super) struct Nvidia {
    /// State of the driver in a sentence, with the remedy if it does not work.
    driver: String,
    /// Major and minor number of the newest CUDA that the driver runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    cuda_max: Option<[i32; 2]>,
    cards: Vec<CardReport>,
    /// The libraries that a CUDA build is linked to, and cuDNN.
    libraries: Vec<Library>,
}

#[derive(Serialize)]
struct CardReport {
    name: String,
    compute_capability: [i32; 2],
    memory_bytes: u64,
}

#[derive(Serialize)]
struct Library {
    name: &'static str,
    found: bool,
}

impl Nvidia {
    pub(super) fn new(machine: Machine) -> Self {
        let card = |Card { name, compute_capability, memory_bytes }| CardReport {
            name,
            compute_capability,
            memory_bytes,
        };
        Self {
            driver: driver(machine.driver, machine.release.as_deref()),
            cuda_max: match machine.driver {
                Driver::Ready { cuda } => Some(cuda),
                Driver::Missing | Driver::Failed { .. } => None,
            },
            cards: machine.cards.into_iter().map(card).collect(),
            libraries: machine
                .libraries
                .into_iter()
                .map(|(name, found)| Library { name, found })
                .collect(),
        }
    }

    /// Names and values of the report's lines.
    pub(super) fn rows(&self, cuda_in_build: bool) -> Vec<(String, String)> {
        let build = if cuda_in_build {
            "in this build, for --device cuda".into()
        } else {
            format!("not in this build; {BUILD} makes one that takes --device cuda")
        };
        let mut rows = vec![("CUDA".into(), build), ("driver".into(), self.driver.clone())];
        for (index, card) in self.cards.iter().enumerate() {
            rows.push((format!("card {index}"), card.text()));
        }
        if self.cuda_max.is_some() {
            rows.push(("CUDA libraries".into(), self.linked()));
            rows.push(("cuDNN".into(), self.cudnn()));
        }
        rows
    }

    /// About the libraries without which a CUDA build does not start.
    fn linked(&self) -> String {
        let missing =
            self.libraries.iter().filter(|library| !library.found && library.name != "cuDNN");
        let missing: Vec<_> = missing.map(|library| library.name).collect();
        if missing.is_empty() {
            return "found".into();
        }
        format!(
            "{} missing; install the CUDA toolkit and put its lib64 on LD_LIBRARY_PATH",
            missing.join(", ")
        )
    }

    fn cudnn(&self) -> String {
        let found = self.libraries.iter().any(|library| library.found && library.name == "cuDNN");
        if found { "found" } else { "missing; needed for --precision tf32 and bf16 alone" }.into()
    }
}

fn driver(driver: Driver, release: Option<&str>) -> String {
    let problem = match driver {
        Driver::Ready { cuda: [major, minor] } => {
            let release = release.unwrap_or("of unknown release");
            return format!("{release}, up to CUDA {major}.{minor}");
        }
        Driver::Missing if release.is_none() => {
            return "no NVIDIA driver here; for a card, install NVIDIA's driver".into();
        }
        Driver::Missing => {
            "loaded, but libcuda.so.1 is not found; start the container with its cards"
        }
        Driver::Failed { code: 100 } => "finds no card; see nvidia-smi and CUDA_VISIBLE_DEVICES",
        Driver::Failed { code: 803 } => "differs from its library in release; restart the machine",
        Driver::Failed { code } => {
            return format!("does not start, CUDA error {code}; nvidia-smi may say more");
        }
    };
    problem.into()
}

impl CardReport {
    fn text(&self) -> String {
        let [major, minor] = self.compute_capability;
        let memory = gibibytes(self.memory_bytes);
        let old =
            if self.compute_capability < CAPABILITY_MIN { "; too old for CUDA 13" } else { "" };
        format!("{}, compute capability {major}.{minor}{old}, {memory}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn text(machine: Machine, cuda_in_build: bool) -> String {
        let rows = Nvidia::new(machine).rows(cuda_in_build).into_iter();
        rows.fold(String::new(), |text, (name, value)| text + &name + ": " + &value + "\n")
    }

    fn machine(driver: Driver, release: Option<&str>) -> Machine {
        let libraries = ["cudart", "cuBLAS", "cuRAND", "NVRTC", "cuDNN"].map(|name| (name, false));
        let release = release.map(str::to_owned);
        Machine { driver, release, cards: Vec::new(), libraries: libraries.to_vec() }
    }

    #[test]
    fn a_machine_without_a_driver_is_told_how_to_get_on() {
        expect![[r"
            CUDA: not in this build; cargo install --path crates/cli --features cuda makes one that takes --device cuda
            driver: no NVIDIA driver here; for a card, install NVIDIA's driver
        "]]
        .assert_eq(&text(machine(Driver::Missing, None), false));
    }

    #[test]
    fn a_driver_that_does_not_work_is_told_apart_by_its_code() {
        let about = |driver, release| {
            text(machine(driver, release), true).lines().nth(1).map(str::to_owned).unwrap()
        };

        expect![
            "driver: loaded, but libcuda.so.1 is not found; start the container with its cards"
        ]
        .assert_eq(&about(Driver::Missing, Some("580.95.05")));
        expect!["driver: finds no card; see nvidia-smi and CUDA_VISIBLE_DEVICES"]
            .assert_eq(&about(Driver::Failed { code: 100 }, None));
        expect!["driver: differs from its library in release; restart the machine"]
            .assert_eq(&about(Driver::Failed { code: 803 }, Some("580.95.05")));
        expect!["driver: does not start, CUDA error 999; nvidia-smi may say more"]
            .assert_eq(&about(Driver::Failed { code: 999 }, None));
    }

    #[test]
    fn cards_and_libraries_are_named() {
        let card = |name: &str, compute_capability, gibibytes: u64| Card {
            name: name.into(),
            compute_capability,
            memory_bytes: gibibytes << 30,
        };
        let cards = vec![card("NVIDIA H100", [9, 0], 80), card("Tesla P100", [6, 0], 16)];
        let mut machine = machine(Driver::Ready { cuda: [13, 0] }, Some("580.95.05"));
        machine.libraries[0].1 = true;

        expect![[r"
            CUDA: in this build, for --device cuda
            driver: 580.95.05, up to CUDA 13.0
            card 0: NVIDIA H100, compute capability 9.0, 80.0 GiB
            card 1: Tesla P100, compute capability 6.0; too old for CUDA 13, 16.0 GiB
            CUDA libraries: cuBLAS, cuRAND, NVRTC missing; install the CUDA toolkit and put its lib64 on LD_LIBRARY_PATH
            cuDNN: missing; needed for --precision tf32 and bf16 alone
        "]]
        .assert_eq(&text(Machine { cards, ..machine }, true));
    }
}
