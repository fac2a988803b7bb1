//! What the emulator must catch, each by a kernel with that fault.

use super::*;

/// Reverses each block's 64 numbers through shared memory; `BODY` is what varies.
fn reversed(name: &'static str, text: &'static str, length: usize) -> Vec<f32> {
    let mut program =
        Program::new(Source { name, text, architecture: None, kernels: &["reverse"] });
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

/// `a · b` of one warp for `a` of 16 rows and `b` of 8 columns, both row-major; registers as in the PTX ISA.
const PRODUCT: &str = r#"
extern "C" __global__ void product(float* out, const float* a, const float* b, int bf16) {
    const int group = threadIdx.x / 4, in_group = threadIdx.x % 4, depth = bf16 ? 16 : 8;
    float sums[4] = {};
    unsigned left[4], right[2];
    for (int i = 0; i < 4; ++i) {
        const float* row = a + (group + i % 2 * 8) * depth;
        const int step = in_group + i / 2 * 4;
        left[i] = bf16 ? pack_bf16(row[2 * step], row[2 * step + 1]) : round_to_tf32(row[step]);
    }
    for (int i = 0; i < 2; ++i) {
        const float* column = b + group;
        const int step = in_group + i * 4;
        right[i] = bf16 ? pack_bf16(column[16 * step], column[16 * step + 8]) : round_to_tf32(column[8 * step]);
    }
    if (bf16) mma_m16n8k16_bf16(sums, left, right);
    else mma_m16n8k8_tf32(sums, left, right);
    for (int i = 0; i < 4; ++i) out[(group + i / 2 * 8) * 8 + 2 * in_group + i % 2] = sums[i];
}"#;

/// What a variant of [`PRODUCT`] makes of `[16, depth]` and `[depth, 8]`.
fn product(name: &'static str, text: &'static str, [a, b]: [&[f32]; 2], bf16: bool) -> Vec<f32> {
    let source = Source { name, text, architecture: Some("compute_80"), kernels: &["product"] };
    let mut program = Program::new(source);
    let [a_buffer, b_buffer] = [0; 2].map(|_| program.buffer(Buffer::Input));
    let out = program.buffer(Buffer::Output(128));
    let mut arguments = vec![Argument::Write(out), Argument::Read(a_buffer)];
    arguments.extend([Argument::Read(b_buffer), Argument::Int(i32::from(bf16))]);
    program.launch(Launch { kernel: "product", grid: [1; 3], threads: 32, arguments });
    run(&program, &[a, b]).remove(0)
}

#[test]
fn tensor_cores_multiply_numbers_rounded_to_tf32_or_bf16() {
    // In bf16 ties go to the even number, in TF32 away from zero.
    let rounded = |value: f32, bf16: bool| {
        let bits = value.to_bits();
        let up = if bf16 { 0x7fff + (bits >> 16 & 1) } else { 0x1000 };
        f32::from_bits((bits + up) & if bf16 { !0xffff } else { !0x1fff })
    };
    for (bf16, depth) in [(false, 8), (true, 16)].into_iter().filter(|_| there_is_a_compiler()) {
        // Ties of either format among numbers that lie anywhere.
        let numbers = |count: usize, seed: usize| -> Vec<f32> {
            let tie = if bf16 { 1.0 + 1.0 / 256.0 } else { 1.0 + 1.0 / 2048.0 };
            let number = |at: usize| if at.is_multiple_of(3) { tie } else { (at as f32).sin() };
            (seed..seed + count).map(number).collect()
        };
        let (a, b) = (numbers(16 * depth, 1), numbers(8 * depth, 1000));

        let actual = product("product", PRODUCT, [&a, &b], bf16);

        for (at, actual) in actual.into_iter().enumerate() {
            let term = |k: usize| {
                let [a, b] = [a[at / 8 * depth + k], b[8 * k + at % 8]].map(|x| rounded(x, bf16));
                f64::from(a) * f64::from(b)
            };
            let expected: f64 = (0..depth).map(term).sum();
            assert!((f64::from(actual) - expected).abs() < 1e-6, "{bf16} {at}: {actual}");
        }
    }
}

#[test]
fn what_a_warp_does_not_do_together_is_found() {
    let faults = [
        ("alone", "if (bf16)", "if (threadIdx.x == 7) return; if (bf16)", "wait for others"),
        ("torn", "if (bf16)", "if (threadIdx.x > 15)", "want different things at once"),
        (
            "rough",
            "round_to_tf32(row[step])",
            "emulator::bits_of(row[step])",
            "is not rounded to TF32",
        ),
    ];
    let (a, b) = ((1..129).map(|at| 0.1 * at as f32), (1..65).map(|at| (at as f32).cos()));
    let (a, b): (Vec<f32>, Vec<f32>) = (a.collect(), b.collect());
    for (name, good, bad, expected) in faults.into_iter().filter(|_| there_is_a_compiler()) {
        let text = Box::leak(PRODUCT.replace(good, bad).into_boxed_str());

        let found = std::panic::catch_unwind(|| product(name, text, [&a, &b], false));

        let found = message(found);
        assert!(found.contains(expected), "{name}: {found}");
    }
    if there_is_a_compiler() {
        let text = Box::leak(PRODUCT.replace("left[i] =", "left[i ^ 1] =").into_boxed_str());
        let sums = |name, text| product(name, text, [&a, &b], false);
        assert_ne!(sums("swapped", text), sums("product", PRODUCT));
    }
}

fn message(result: std::thread::Result<Vec<f32>>) -> String {
    let panic = result.expect_err("the fault is found");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}
