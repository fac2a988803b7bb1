//! Runs a [`Program`] on the CPU: its `.cu` file, compiled by the system's C++ compiler.
//!
//! For tests, on Linux. Every program runs twice, with blocks and their threads taking turns in two
//! different orders, and both must give the same bits: a barrier that is missing gives others.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use super::program::{Argument, Buffer, Launch, Program, Source};

/// Turns of the two runs: the last block and thread first, and the first block but threads shuffled
/// anew after every barrier.
const ORDERS: [u32; 2] = [1, 2];

/// The system's C++ compiler: `$CXX`, or the first of the usual names that answers.
pub fn compiler() -> Option<String> {
    let names = env::var("CXX").into_iter().chain(["c++", "g++", "clang++"].map(String::from));
    names.into_iter().find(|name| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

/// Returns what the program leaves in every buffer that [`Buffer::is_returned`], in order.
///
/// `inputs` are the program's [`Buffer::Input`] and [`Buffer::Updated`], in order.
///
/// # Panics
///
/// If there is no C++ compiler (ask [`compiler`] first), the kernels do not compile, read or write
/// beside a buffer, leave threads waiting at a barrier, or depend on the order of a block's threads.
pub fn run(program: &Program, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
    let [first, second] = ORDERS.map(|order| in_order(program, inputs, order));
    let bits = |outputs: &[Vec<f32>]| -> Vec<u32> {
        outputs.iter().flatten().map(|number| number.to_bits()).collect()
    };
    let name = program.source.name;
    let same = bits(&first) == bits(&second);
    assert!(same, "{name}: the bits depend on the order of threads or blocks");
    first
}

/// As [`run`], in one order only: for programs whose own tests use both.
pub(super) fn run_in_one_order(program: &Program, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
    in_order(program, inputs, ORDERS[0])
}

fn in_order(program: &Program, inputs: &[&[f32]], order: u32) -> Vec<Vec<f32>> {
    let emulator = build(program.source);
    let outputs = run_once(&emulator, program, inputs, order).into_iter().zip(&program.buffers);
    outputs
        .filter(|(_, buffer)| buffer.is_returned())
        .map(|(bytes, _)| bytes.chunks_exact(4).map(number).collect())
        .collect()
}

fn number(bytes: &[u8]) -> f32 {
    f32::from_le_bytes(bytes.try_into().expect("chunks of four bytes"))
}

/// Compiles a source, unless an earlier run has compiled the very same text, and returns the program.
fn build(source: Source) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    // A test that panicked here has failed by itself; others may try again.
    let _guard = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = translation_unit(source);
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    // Beside the tests, below cargo's target folder.
    let folder = env::current_exe().expect("a test knows its file").with_file_name("emulator");
    let path = folder.join(format!("{}-{:016x}", source.name, hasher.finish()));
    if !path.exists() {
        fs::create_dir_all(&folder).expect("the target folder takes a folder");
        compile(source.name, &text, &path);
    }
    path
}

/// The shim, the kernels, the table of their names, and `main`.
fn translation_unit(source: Source) -> String {
    let mut table = String::from("static const emulator::Kernel KERNELS[] = {\n");
    for kernel in source.kernels {
        writeln!(table, "    emulator::describe(\"{kernel}\", {kernel}),").expect("a String grows");
    }
    let shim = concat!(include_str!("emulator.hpp"), include_str!("emulator/tensor_cores.hpp"));
    let main = include_str!("emulator.cpp");
    format!("{shim}\n#line 1 \"{}.cu\"\n{}\n{table}}};\n{main}", source.name, source.text)
}

/// Writes under a name of this process first, so that nobody runs half a file.
fn compile(name: &str, text: &str, path: &Path) {
    let unfinished = path.with_extension(std::process::id().to_string());
    let file = unfinished.with_extension(format!("{}.cpp", std::process::id()));
    fs::write(&file, text).expect("the target folder takes a file");
    let compiler = compiler().expect("a C++ compiler: install g++ or clang++, or set CXX");
    let mut command = Command::new(compiler);
    command.args(["-std=c++17", "-O2", "-Wall", "-Werror", "-Wno-unknown-pragmas"]);
    // Some systems' compilers would refuse the jumps between stacks.
    command.args(["-U_FORTIFY_SOURCE", "-o"]);
    let output = command.arg(&unfinished).arg(&file).output().expect("the compiler was there");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} does not compile:\n{messages}");
    fs::rename(&unfinished, path).expect("both are in one folder");
}

/// Returns the bytes of every buffer after the last launch.
fn run_once(emulator: &Path, program: &Program, inputs: &[&[f32]], order: u32) -> Vec<Vec<u8>> {
    let mut inputs = inputs.iter();
    let mut script = format!("order {order}\n").into_bytes();
    let mut lengths = Vec::new();
    for buffer in &program.buffers {
        lengths.push(place(buffer, &mut inputs, &mut script));
    }
    for launch in &program.launches {
        script.extend(line(launch).into_bytes());
    }
    script.extend(b"end\n");
    let output = pipe(emulator, &script);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {} {messages}", program.source.name, output.status);
    let mut rest = &output.stdout[..];
    let mut take = |length: usize| {
        let (bytes, others) = rest.split_at(length);
        rest = others;
        bytes.to_vec()
    };
    lengths.into_iter().map(&mut take).collect()
}

/// Writes what makes a buffer to the script and returns its bytes' number.
fn place<'a>(
    buffer: &Buffer,
    inputs: &mut impl Iterator<Item = &'a &'a [f32]>,
    script: &mut Vec<u8>,
) -> usize {
    let (length, content) = match buffer {
        Buffer::Input | Buffer::Updated => {
            filled(inputs.next().expect("values for every `Buffer::Input` and `Buffer::Updated`"))
        }
        Buffer::Floats(values) => filled(values),
        Buffer::Ints(values) => {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (bytes.len(), bytes)
        }
        Buffer::Bytes(values) => (values.len(), values.clone()),
        Buffer::Scratch(length) | Buffer::Output(length) => (4 * length, Vec::new()),
        Buffer::Zeros(length) => (4 * length, vec![0; 4 * length]),
        Buffer::Addresses(of) => {
            let of: Vec<String> = of.iter().map(usize::to_string).collect();
            script.extend(format!("addresses {} {}\n", of.len(), of.join(" ")).into_bytes());
            return size_of::<u64>() * of.len();
        }
    };
    script.extend(format!("buffer {length} {}\n", content.len()).into_bytes());
    script.extend(content);
    length
}

fn filled(values: &[f32]) -> (usize, Vec<u8>) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    (bytes.len(), bytes)
}

fn line(launch: &Launch) -> String {
    let Launch { kernel, grid: [x, y, z], threads, arguments } = launch;
    let mut text = format!("launch {kernel} {x} {y} {z} {threads} {}", arguments.len());
    for argument in arguments {
        let written = match argument {
            Argument::Read(buffer) | Argument::Write(buffer) => write!(text, " b{buffer}"),
            Argument::Int(value) => write!(text, " i{value}"),
            Argument::Float(value) => write!(text, " f{}", value.to_bits()),
            Argument::Long(value) => write!(text, " l{value}"),
        };
        written.expect("a String grows");
    }
    text + "\n"
}

/// Runs the emulator on `script`; it reads all before it writes, so that neither waits forever.
fn pipe(emulator: &Path, script: &[u8]) -> Output {
    let mut command = Command::new(emulator);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the emulator was just built");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // An emulator that fails early closes its end; its exit status tells more than this error.
    let _ = stdin.write_all(script);
    drop(stdin);
    child.wait_with_output().expect("the emulator can be waited for")
}

#[cfg(test)]
mod tests;
