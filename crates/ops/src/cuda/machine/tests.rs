//! The driver as seen through libraries that answer as it would.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::cuda::emulator::compiler;

/// A driver with one card whose `cuInit` returns `code`.
fn driver(code: i32) -> Option<PathBuf> {
    let folder = env::current_exe().unwrap().with_file_name("emulator");
    fs::create_dir_all(&folder).unwrap();
    let library = folder.join(format!("driver-{code}-{}.so", std::process::id()));
    let source = library.with_extension("cpp");
    let text = r#"
        #include <cstdio>
        #include <cstddef>
        extern "C" {
        int cuInit(unsigned flags) { return flags ? 1 : CODE; }
        int cuDriverGetVersion(int* out) { *out = 13010; return 0; }
        int cuDeviceGetCount(int* out) { *out = 1; return 0; }
        int cuDeviceGet(int* out, int ordinal) { *out = ordinal + 7; return 0; }
        int cuDeviceGetName(char* out, int length, int card) {
            std::snprintf(out, length, "card %d", card);
            return 0;
        }
        int cuDeviceGetAttribute(int* out, int which, int) { *out = which - 67; return 0; }
        int cuDeviceTotalMem_v2(size_t* out, int) { *out = size_t(5) << 32; return 0; }
        }"#;
    fs::write(&source, text.replace("CODE", &code.to_string())).unwrap();
    let mut command = Command::new(compiler()?);
    let built =
        command.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
    assert!(built.success());
    Some(library)
}

#[test]
fn a_card_is_described_in_the_drivers_words() {
    if let Some(file) = driver(0) {
        let (driver, cards) = look_through(file.to_str().unwrap());

        let card =
            Card { name: "card 7".into(), compute_capability: [8, 9], memory_bytes: 5 << 32 };
        assert_eq!((driver, cards), (Driver::Ready { cuda: [13, 1] }, vec![card]));
    }
}

#[test]
fn a_driver_without_a_card_says_so_by_its_code() {
    if let Some(file) = driver(100) {
        let found = look_through(file.to_str().unwrap());

        assert_eq!(found, (Driver::Failed { code: 100 }, Vec::new()));
    }
}

#[test]
fn a_library_that_is_missing_or_is_no_driver_is_no_panic() {
    assert_eq!(look_through("libduomo-has-no-such-driver.so"), (Driver::Missing, Vec::new()));
    if cfg!(target_os = "linux") {
        let code = SYMBOL_NOT_FOUND;
        assert_eq!(look_through("libc.so.6"), (Driver::Failed { code }, Vec::new()));
    }
}

#[test]
fn every_machine_has_an_answer() {
    let machine = Machine::look();

    assert_eq!(machine.libraries.len(), LIBRARIES.len());
    assert!(machine.cards.is_empty() || matches!(machine.driver, Driver::Ready { .. }));
}
