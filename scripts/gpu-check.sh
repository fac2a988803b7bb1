#!/bin/sh
# Checks and times the CUDA kernels and training on the first NVIDIA card, of compute capability 8.0 or newer. Needs
# CUDA's toolkit, version 13.0.
#
# Every kernel, operation, network and training step, on the card and thread by thread on the CPU: the tests of four
# crates, but for those of the ways that the CPU has to itself. Then the clock, for kernels and for whole training
# steps, beside PyTorch where `PYTHON` (python3 if not given) has one that sees the card; then, where `DATA` is the
# folder of a data set (`DATASET`, mscmr if not given), a run of `STEPS` steps (300 if not given) of `SCHEDULE`
# (paper); then the kernels under compute-sanitizer where the toolkit has it, half a minute for each of its tools.
# Building takes longest; BUILD_ONLY=1 does that alone, on a machine without a card too.
# CUDNN=1 takes convolutions to cuDNN, in all precisions.
set -eu
cd "$(dirname "$0")/.."
feature=${CUDNN:+cudnn}
feature=${feature:-cuda}
cuda="-p duomo-ops -p duomo-affinity --features duomo-ops/$feature,duomo-affinity/cuda"
tests=$(cargo test $cuda --lib --no-run 2>&1 | tee /dev/stderr | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
cargo test -p duomo-model --features "duomo-ops/$feature" --lib --test it --no-run
cargo test -p duomo-train --features "$feature" --lib --no-run
cargo build --release $cuda --example time_cuda --example time_kernels
cargo build --release -p duomo-train --features "$feature" --example time_step
cargo build --release -p duomo-cli --features "$feature"
[ -z "${BUILD_ONLY:-}" ] || exit 0

nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader
for test in $tests; do
    "$test" --skip vector_unit --skip threads --skip winograd
done
cargo test -q -p duomo-model --features "duomo-ops/$feature" --lib --test it
cargo test -q -p duomo-train --features "$feature" --lib network

case=$(mktemp)
trap 'rm -f "$case"' EXIT
target/release/examples/time_cuda
target/release/examples/time_kernels
target/release/examples/time_step "$case"
python=${PYTHON:-python3}
if "$python" -c 'import sys, torch, safetensors; sys.exit(not torch.cuda.is_available())'; then
    "$python" scripts/gpu_check_step.py "$case" compile
    "$python" scripts/gpu_check_torch.py compile
else
    echo "$python has no PyTorch with safetensors that sees the card: no times beside ours"
fi

if [ -n "${DATA:-}" ]; then
    run=$(mktemp -d)
    steps=${STEPS:-300}
    target/release/duomo train --dataset "${DATASET:-mscmr}" --data "$DATA" --method csa \
        --schedule "${SCHEDULE:-paper}" --set "schedule.steps=$steps" --set "schedule.validate_every=$steps" \
        --device cuda --out "$run/run"
    tail -n 3 "$run/run/metrics.jsonl"
    rm -rf "$run"
fi

if command -v compute-sanitizer; then
    for test in $tests; do
        for tool in memcheck racecheck initcheck synccheck; do
            timeout 30 compute-sanitizer --tool "$tool" --error-exitcode 1 "$test" launches losses ||
                [ $? = 124 ] # its time ran out without a finding
        done
    done
else
    echo 'compute-sanitizer is not on the PATH: memory and races stay unchecked'
fi
