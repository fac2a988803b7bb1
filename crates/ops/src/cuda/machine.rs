//! What this machine offers to CUDA programs: driver, cards, libraries.
//!
//! Everything is looked up while the program runs, so a build without CUDA can tell as well, and a
//! machine without a driver is an answer, not a failure.

#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::fs;

use libloading::{Library, Symbol};

/// What [`Machine::look`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// The library through which programs reach the cards.
    pub driver: Driver,
    /// Release of the kernel's driver module, such as `580.95.05`, where the system shows it.
    pub release: Option<String>,
    /// The cards in the driver's order, which `CUDA_VISIBLE_DEVICES` changes.
    pub cards: Vec<Card>,
    /// The libraries that a CUDA build is linked to, and cuDNN, and whether the loader finds them.
    pub libraries: Vec<(&'static str, bool)>,
}

/// State of the driver's library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The loader finds no `libcuda.so.1`.
    Missing,
    /// It is there but does not start; 100 says that there is no card.
    Failed {
        /// The driver's error code, a `CUresult`.
        code: i32,
    },
    /// It works, and runs programs made for CUDA up to this version.
    Ready {
        /// Major and minor number.
        cuda: [i32; 2],
    },
}

/// One NVIDIA card.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// As the driver calls it.
    pub name: String,
    /// Major and minor number: which instructions it knows.
    pub compute_capability: [i32; 2],
    /// Size of its memory.
    pub memory_bytes: u64,
}

#[cfg(not(windows))]
const DRIVER: &str = "libcuda.so.1";
#[cfg(windows)]
const DRIVER: &str = "nvcuda.dll";

/// Libraries by the name that a reader knows, and the files that may hold them.
const LIBRARIES: [(&str, &[&str]); 5] = [
    ("cudart", &["libcudart.so.13", "libcudart.so.12"]),
    ("cuBLAS", &["libcublas.so.13", "libcublas.so.12"]),
    ("cuRAND", &["libcurand.so.10"]),
    ("NVRTC", &["libnvrtc.so.13", "libnvrtc.so.12"]),
    ("cuDNN", &["libcudnn.so.9"]),
];

impl Machine {
    /// Looks at this machine. Starts the driver where there is one, which takes a moment.
    pub fn look() -> Self {
        let (driver, cards) = look_through(DRIVER);
        let found = |files: &[&str]| files.iter().any(|file| open(file).is_some());
        let version = |path| fs::read_to_string(path).ok();
        Self {
            driver,
            release: version("/sys/module/nvidia/version").map(|text| text.trim().to_owned()),
            cards,
            libraries: LIBRARIES.map(|(name, files)| (name, found(files))).to_vec(),
        }
    }
}

/// Loads a library for the rest of the process: drivers do not like to be unloaded.
fn open(file: &str) -> Option<&'static Library> {
    // SAFETY: NVIDIA's libraries only set up their own state when they are loaded.
    let library = unsafe { Library::new(file) }.ok()?;
    Some(Box::leak(Box::new(library)))
}

/// Asks the driver library `file` for its state and its cards.
fn look_through(file: &str) -> (Driver, Vec<Card>) {
    let Some(library) = open(file) else {
        return (Driver::Missing, Vec::new());
    };
    match Api::load(library).ok_or(SYMBOL_NOT_FOUND).and_then(|api| api.describe()) {
        Ok((cuda, cards)) => (Driver::Ready { cuda }, cards),
        Err(code) => (Driver::Failed { code }, Vec::new()),
    }
}

/// The driver's own code for a function that it lacks.
const SYMBOL_NOT_FOUND: c_int = 500;

type Call<A> = Symbol<'static, unsafe extern "C" fn(A) -> c_int>;
type Call2<A, B> = Symbol<'static, unsafe extern "C" fn(A, B) -> c_int>;
type Call3<A, B, C> = Symbol<'static, unsafe extern "C" fn(A, B, C) -> c_int>;

/// The few functions of the driver's API that describe cards.
struct Api {
    init: Call<c_uint>,
    version: Call<*mut c_int>,
    count: Call<*mut c_int>,
    get: Call2<*mut c_int, c_int>,
    name: Call3<*mut c_char, c_int, c_int>,
    attribute: Call3<*mut c_int, c_int, c_int>,
    memory: Call2<*mut usize, c_int>,
}

impl Api {
    fn load(library: &'static Library) -> Option<Self> {
        // SAFETY: names and signatures are those of cuda.h, the same since CUDA 3.2.
        unsafe {
            Some(Self {
                init: library.get(b"cuInit").ok()?,
                version: library.get(b"cuDriverGetVersion").ok()?,
                count: library.get(b"cuDeviceGetCount").ok()?,
                get: library.get(b"cuDeviceGet").ok()?,
                name: library.get(b"cuDeviceGetName").ok()?,
                attribute: library.get(b"cuDeviceGetAttribute").ok()?,
                memory: library.get(b"cuDeviceTotalMem_v2").ok()?,
            })
        }
    }

    /// The CUDA version and the cards, or the first error code.
    fn describe(&self) -> Result<([i32; 2], Vec<Card>), c_int> {
        let (mut version, mut count) = (0, 0);
        // SAFETY: every pointer is to a live integer of the type in the signature.
        unsafe {
            checked((self.init)(0))?;
            checked((self.version)(&raw mut version))?;
            checked((self.count)(&raw mut count))?;
        }
        let cards = (0..count).map(|ordinal| self.card(ordinal)).collect::<Result<_, _>>()?;
        Ok(([version / 1000, version % 1000 / 10], cards))
    }

    fn card(&self, ordinal: c_int) -> Result<Card, c_int> {
        const MAJOR: c_int = 75;
        const MINOR: c_int = 76;
        let (mut card, mut memory, mut name) = (0, 0, [0; 256]);
        let mut compute_capability = [0; 2];
        // SAFETY: as above; `name` has the 256 bytes that are announced.
        unsafe {
            checked((self.get)(&raw mut card, ordinal))?;
            checked((self.name)(name.as_mut_ptr(), 256, card))?;
            checked((self.attribute)(&raw mut compute_capability[0], MAJOR, card))?;
            checked((self.attribute)(&raw mut compute_capability[1], MINOR, card))?;
            checked((self.memory)(&raw mut memory, card))?;
        }
        name[255] = 0;
        // SAFETY: `name` ends with a 0, if not before, then in its last byte.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        Ok(Card { name, compute_capability, memory_bytes: memory as u64 })
    }
}

fn checked(code: c_int) -> Result<(), c_int> {
    if code == 0 { Ok(()) } else { Err(code) }
}
