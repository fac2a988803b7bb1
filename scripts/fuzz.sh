#!/usr/bin/env bash
# Runs every fuzz target for some seconds, one after another, and stops at the first finding.
#
#     cargo install cargo-fuzz
#     scripts/fuzz.sh 600
#
# Without sanitizers, so that a stable toolchain will do: Duomo's reader holds no unsafe code, and what is looked for are panics,
# overflows, hangs and memory. A finding is left in fuzz/artifacts; `cargo fuzz run -s none TARGET FILE` shows it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:?seconds per target}
seeds=(image:tests/fixtures/nifti labels:tests/fixtures/nifti packed:tests/fixtures/nifti pair:tests/fixtures/nifti
       nnunet:fuzz/seeds/nnunet dataset:fuzz/seeds/dataset dataset:datasets)
for target in image labels packed pair nnunet dataset; do
    mkdir -p "fuzz/corpus/$target"
    folders=("fuzz/corpus/$target")
    for seed in "${seeds[@]}"; do
        [[ $seed == "$target":* ]] && folders+=("${seed#*:}")
    done
    echo "── $target"
    cargo fuzz run -s none "$target" "${folders[@]}" -- -max_total_time="$seconds" -max_len=65536 -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 2>&1 | grep -E "^stat::|^Done|panicked|ERROR|SUMMARY|DONE" ||
        { echo "$target stopped early"; exit 1; }
    [[ -z $(ls -A "fuzz/artifacts/$target" 2>/dev/null) ]] || { echo "$target has a finding in fuzz/artifacts"; exit 1; }
done
