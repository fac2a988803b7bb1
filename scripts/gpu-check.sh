#!/bin/sh
# Checks and times the CUDA kernels on the first NVIDIA card. Needs CUDA's toolkit, version 13.0.
#
# Against the CPU twin, then under compute-sanitizer where the toolkit has it, then the clock.
set -eu
cd "$(dirname "$0")/.."
nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader
cargo test -p duomo-affinity --features cuda --lib cuda
if command -v compute-sanitizer; then
    test=$(cargo test -p duomo-affinity --features cuda --lib --no-run 2>&1 | sed -n 's/.*(\(.*\))$/\1/p' | tail -1)
    for tool in memcheck racecheck initcheck synccheck; do
        compute-sanitizer --tool "$tool" --error-exitcode 1 "$test" class_affinity::cuda
    done
else
    echo 'compute-sanitizer is not on the PATH: memory and races stay unchecked'
fi
cargo run --release -p duomo-affinity --features cuda --example time_cuda
