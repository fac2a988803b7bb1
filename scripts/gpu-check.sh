#!/bin/sh
# Checks and times the CUDA kernels on the first NVIDIA card. Needs CUDA's toolkit, version 13.0.
#
# Every kernel against the CPU, on the card and thread by thread on the CPU; then under compute-sanitizer
# where the toolkit has it; then the clock, beside PyTorch where `PYTHON` (python3 if not given) has one that
# sees the card. Building takes longest; BUILD_ONLY=1 does that alone, on a machine without a card too.
# CUDNN=1 takes convolutions to cuDNN, in all precisions.
set -eu
cd "$(dirname "$0")/.."
cuda="-p duomo-ops -p duomo-affinity --features duomo-ops/${CUDNN:+cudnn,duomo-ops/}cuda,duomo-affinity/cuda"
tests=$(cargo test $cuda --lib --no-run 2>&1 | tee /dev/stderr | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
cargo build --release $cuda --example time_cuda --example time_kernels
[ -z "${BUILD_ONLY:-}" ] || exit 0

nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader
for test in $tests; do
    "$test" cuda launches losses
done
if command -v compute-sanitizer; then
    for test in $tests; do
        for tool in memcheck racecheck initcheck synccheck; do
            compute-sanitizer --tool "$tool" --error-exitcode 1 "$test" launches losses
        done
    done
else
    echo 'compute-sanitizer is not on the PATH: memory and races stay unchecked'
fi

target/release/examples/time_cuda
target/release/examples/time_kernels
python=${PYTHON:-python3}
if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    "$python" scripts/gpu_check_torch.py compile
else
    echo "$python has no PyTorch that sees the card: no times beside ours"
fi
