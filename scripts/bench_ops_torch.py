"""Times 3x3 convolutions in PyTorch, channels last: the peer of crates/ops/benches/ops.

Reads lines "pass batch channels side outputs dilation" and answers each with seconds.
"""

import sys
import time

import torch


def seconds(name: str, batch: int, channels: int, side: int, outputs: int, dilation: int) -> float:
    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape).to(memory_format=torch.channels_last)

    image = random(batch, channels, side, side)
    kernel = random(outputs, channels, 3, 3)
    gradient = random(batch, outputs, side, side)
    geometry = [1, 1], [dilation, dilation], [dilation, dilation]

    def run() -> None:
        if name == "forward":
            torch.nn.functional.conv2d(image, kernel, None, *geometry)
        else:
            wanted = [name == "input", name == "kernel", False]
            torch.ops.aten.convolution_backward(gradient, image, kernel, None, *geometry, False, [0, 0], 1, wanted)

    run()
    times = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


with torch.no_grad():
    for line in sys.stdin:
        words = line.split()
        print(seconds(words[0], *map(int, words[1:])), flush=True)
