"""Times in PyTorch the training step that the example `time_step` of crates/train times, on the first CUDA card.

Arguments: the file that the example left, and `compile` for torch.compile as well. Every row is the median of steps by
CUDA events in one of {TF32, bf16} x {eager, compiled}, channels last.
"""

import statistics
import sys

import torch
from bench_server import load
from torch_losses import AFFINITY_WEIGHT, GROUPS, affinity_loss, segmentation_loss
from torch_network import Network

STEPS, WARMUP = 50, 10
DROPOUT, RATE, L2 = 0.25, 1e-4, 1e-4


def millis(path: str, bf16: bool, compiled: bool) -> float:
    torch.manual_seed(0)
    weights, data = load(path)
    move = lambda x: x.cuda().contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x.cuda()  # noqa: E731
    images, labels = ([move(data[f"{kind}.{m}"]) for m in (0, 1)] for kind in ("images", "labels"))
    classes = len(weights["output"])
    network = Network({name: move(value) for name, value in weights.items()}, DROPOUT)
    kernels = [p for p in network.parameters() if p.dim() == 4]
    others = [p for p in network.parameters() if p.dim() != 4]
    groups = [{"params": kernels, "weight_decay": L2}, {"params": others}]
    optimizer = torch.optim.Adam(groups, lr=RATE, fused=True)
    forward, segmentation = (torch.compile(f) if compiled else f for f in (network, segmentation_loss))

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            logits, features = forward(images, GROUPS)
        logits = [z.float() for z in logits]
        features = [{group: x.float() for group, x in of.items()} for of in features]
        loss = sum(segmentation(z, label) for z, label in zip(logits, labels))
        loss = loss + AFFINITY_WEIGHT * affinity_loss(features, labels, classes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    for _ in range(WARMUP):
        step()
    times = []
    for _ in range(STEPS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def main() -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    # `affinity_loss` and `segmentation_loss` make tables on the default device.
    torch.set_default_device("cuda")
    path, *rest = sys.argv[1:]
    for compiled in (False, True) if "compile" in rest else (False,):
        for bf16 in (False, True):
            way = f"{'bf16' if bf16 else 'TF32'}, {'compiled' if compiled else 'eager'}"
            print(f"PyTorch {torch.__version__} step, {way:15} {millis(path, bf16, compiled):8.2f} ms", flush=True)


if __name__ == "__main__":
    main()
