//! What the emulator must catch, each by a kernel with that fault.

use super::*;

/// Reverses each block's 64 numbers through shared memory; `BODY` is what varies.
fn reversed(name: &'static str, text: &'static str, length: usize) -> Vec<f32> {
    let mut program = Program::new(Source { name, text, kernels: &["reverse"] });
    let (input, out) = (program.buffer(Buffer::Input), program.buffer(Buffer::Output(length)));
    let arguments = vec![Argument::Write(out), Argument::Read(input), Argument::Int(8)];
    program.launch(Launch { kernel: "reverse", grid: [length / 8, 1, 1], threads: 8, arguments });
    let values: Vec<f32> = (0..length).map(|i| i as f32).collect();
    run(&program, &[&values]).remove(0)
}

const GOOD: &str = r#"
extern "C" __global__ void reverse(float* out, const float* in, int width) {
    __shared__ float tile[8];
    const int first = blockIdx.x * blockDim.x;
    tile[threadIdx.x] = in[first + threadIdx.x];
    __syncthreads();
    out[first + threadIdx.x] = tile[width - 1 - threadIdx.x];
}"#;

fn there_is_a_compiler() -> bool {
    let found = compiler().is_some();
    if !found {
        // Not by `eprintln!`, which a passing test does not show.
        let _ = writeln!(std::io::stderr(), "skipped: no C++ compiler; set CXX or install g++");
    }
    found
}

#[test]
fn runs_blocks_threads_and_shared_memory() {
    if there_is_a_compiler() {
        let out = reversed("good", GOOD, 16);

        let expected = [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8];
        assert_eq!(out, expected.map(|i: u8| f32::from(i)));
    }
}

#[test]
fn a_missing_barrier_is_found() {
    if there_is_a_compiler() {
        let text = Box::leak(GOOD.replace("__syncthreads();", "").into_boxed_str());

        let found = std::panic::catch_unwind(|| reversed("unguarded", text, 16));

        assert!(message(found).contains("the bits depend on the order of threads"));
    }
}

#[test]
fn a_barrier_that_some_threads_never_reach_is_found() {
    if there_is_a_compiler() {
        let divergent =
            GOOD.replace("__syncthreads();", "if (threadIdx.x > 3) return; __syncthreads();");
        let text = Box::leak(divergent.into_boxed_str());

        let found = std::panic::catch_unwind(|| reversed("divergent", text, 16));

        assert!(message(found).contains("some threads end before a barrier of others"));
    }
}

#[test]
fn blocks_that_write_to_one_place_are_found() {
    if there_is_a_compiler() {
        let text = Box::leak(GOOD.replace("out[first", "out[0").into_boxed_str());

        let found = std::panic::catch_unwind(|| reversed("colliding", text, 16));

        assert!(message(found).contains("the bits depend on the order of threads or blocks"));
    }
}

#[test]
fn touching_what_lies_beside_a_buffer_is_found() {
    let faults = [
        ("before", "out[first", "(out - 1)[first", "reverse wrote beside buffer 1"),
        ("behind", "out[first", "out[first + 1", "signal: 11"),
        ("reading", "in[first", "in[first + 1", "signal: 11"),
    ];
    for (name, good, bad, expected) in faults.into_iter().filter(|_| there_is_a_compiler()) {
        let text = Box::leak(GOOD.replace(good, bad).into_boxed_str());

        let found = message(std::panic::catch_unwind(|| reversed(name, text, 16)));

        assert!(found.contains(expected), "{name}: {found}");
    }
}

fn message(result: std::thread::Result<Vec<f32>>) -> String {
    let panic = result.expect_err("the fault is found");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}
