#!/bin/sh
# Installs PyTorch under target/torch, the peer of `cargo xtask bench ops`.
set -eu
cd "$(dirname "$0")/.."
python3 -m venv target/torch
target/torch/bin/pip install torch==2.15.0
