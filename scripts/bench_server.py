"""What the peers of crates/train/benches/network have in common: a line in, seconds and numbers out."""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence

import torch
from safetensors.torch import load_file


def load(path: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights and data of a case; what has four axes comes channels last and leaves channels second."""
    tensors = {name: value if value.dim() != 4 else value.permute(0, 3, 1, 2) for name, value in load_file(path).items()}
    weights = {name.removeprefix("weight."): value for name, value in tensors.items() if name.startswith("weight.")}
    data = {name: value for name, value in tensors.items() if not name.startswith("weight.")}
    return weights, data


def serve(work: Callable[[], object], numbers: Callable[[object], Sequence[float]]) -> None:
    """Works once for every line; only the work is timed, not what makes numbers of its result.

    Lines are read on a thread of their own: when a bench was killed and its pipe is closed, this process ends at once,
    not after a pass that may take minutes.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=read, args=(lines,), daemon=True).start()
    while True:
        lines.get()
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        print(seconds, *numbers(result), flush=True)


def read(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)
