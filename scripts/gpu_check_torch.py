"""Times in PyTorch what the examples `time_cuda` of crates/affinity and `time_kernels` of crates/ops time, on the first CUDA card.

Every row is the best of the ways that PyTorch offers: TF32 and f32, masks and sorted pixels, and, with the
argument `compile`, torch.compile as well. Microseconds per call, medians by CUDA events.
"""

import statistics
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_losses import SHORTEST, Regions, segmentation_loss

REPEATS, WARMUP = 50, 10


def micros(call: Callable[[], object]) -> float:
    """The median time of a call on the card."""
    for _ in range(WARMUP):
        call()
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(1000 * start.elapsed_time(end))
    return statistics.median(times)


def masked(x: Tensor, y: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Affinities of all classes by one batched product of masked maps, `[C, M, N]`."""
    step = labels.shape[-1] // x.shape[-1]
    hot = F.one_hot(labels[:, ::step, ::step].flatten().long(), classes).T.unsqueeze(2).to(x.dtype)  # [C, P, 1]
    rows = (z.permute(0, 2, 3, 1).flatten(0, 2) for z in (x, y))
    units = [F.normalize(hot * z, dim=1, eps=SHORTEST) for z in rows]
    return units[0].transpose(1, 2) @ units[1]


def by_class(x: Tensor, y: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The same by one product per class over that class's pixels."""
    regions = Regions(labels, x.shape[-1], classes)
    return torch.stack([a.T @ b for a, b in zip(regions.split(x), regions.split(y))])


def channels_last(*shape: int) -> Tensor:
    return torch.randn(*shape, device="cuda").contiguous(memory_format=torch.channels_last)


def both(result: Tensor, leaves: list[Tensor]) -> None:
    torch.autograd.grad(result.square().sum(), leaves)


def affinity(compiled: bool) -> None:
    for side in (28, 32):
        for channels in (256, 512):
            for classes in (4, 5):
                x, y = (channels_last(8, channels, side, side).requires_grad_() for _ in range(2))
                labels = torch.randint(classes, (8, 8 * side, 8 * side), device="cuda", dtype=torch.uint8)
                ways: dict[str, Callable] = {"masked": masked, "by class": by_class}
                if compiled:
                    ways["masked, compiled"] = torch.compile(masked)
                times = {}
                for tf32 in (True, False):
                    torch.backends.cuda.matmul.allow_tf32 = tf32
                    for name, way in ways.items():
                        run = lambda way=way: both(way(x, y, labels, classes), [x, y])  # noqa: E731
                        times[name + (", TF32" if tf32 else ", f32")] = micros(run)
                best = min(times, key=times.get)
                print(f"affinity forward + backward {side}² {channels} C={classes}: {times[best]:9.1f} µs  ({best})")


def row(name: str, call: Callable[[], object]) -> None:
    print(f"{name:48} {micros(call):9.1f} µs")


def layers() -> None:
    for tf32 in (True, False):
        torch.backends.cudnn.allow_tf32 = tf32
        precision = "TF32" if tf32 else "f32"
        for channels, side in ((16, 224), (64, 56), (256, 28), (512, 28)):
            x, g = (channels_last(16, channels, side, side) for _ in range(2))
            w = channels_last(channels, channels, 3, 3)
            geometry = [1, 1], [1, 1], [1, 1]
            row(f"conv2d forward {channels} {side}² {precision}", lambda: F.conv2d(x, w, None, *geometry))
            for name, wanted in (("input", [True, False, False]), ("kernel", [False, True, False])):
                run = lambda wanted=wanted: torch.ops.aten.convolution_backward(  # noqa: E731
                    g, x, w, None, *geometry, False, [0, 0], 1, wanted)
                row(f"conv2d by {name} {channels} {side}² {precision}", run)
        x, w, g = channels_last(16, 512, 28, 28), channels_last(512, 40, 16, 16), channels_last(16, 40, 224, 224)
        row(f"transposed_conv2d forward 512 28² {precision}", lambda: F.conv_transpose2d(x, w, None, 8, 4))
        run = lambda: torch.ops.aten.convolution_backward(  # noqa: E731
            g, x, w, None, [8, 8], [4, 4], [1, 1], True, [0, 0], 1, [True, True, False])
        row(f"transposed_conv2d gradients 512 28² {precision}", run)
    for channels, side in ((16, 224), (512, 28)):
        x = channels_last(16, channels, side, side).requires_grad_()
        gamma, beta = (torch.ones(channels, device="cuda", requires_grad=True) for _ in range(2))

        def norm() -> Tensor:
            return F.leaky_relu(F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-3), 0.2)

        row(f"norm + LeakyReLU forward {channels} {side}²", norm)
        row(f"norm + LeakyReLU both ways {channels} {side}²", lambda: both(norm(), [x, gamma, beta]))
        row(f"max_pool2 forward {channels} {side}²", lambda: F.max_pool2d(x, 2))
        row(f"dropout {channels} {side}²", lambda: F.dropout(x, 0.25))
    deep = channels_last(16, 2560, 28, 28)
    row("pixel_shuffle 2560 28²", lambda: F.pixel_shuffle(deep, 8))
    logits = channels_last(8, 5, 224, 224).requires_grad_()
    labels = torch.randint(5, (8, 224, 224), device="cuda", dtype=torch.uint8)
    torch.set_default_device("cuda")
    row("segmentation losses both ways 5 224²", lambda: both(segmentation_loss(logits, labels), [logits]))
    weights = [torch.randn(512, 3, 3, 512, requires_grad=True) for _ in range(16)]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    optimizer = torch.optim.Adam(weights, lr=1e-4, weight_decay=1e-4, fused=True)
    row("Adam, 38 M weights", optimizer.step)


def main() -> None:
    print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}")
    affinity("compile" in sys.argv[1:])
    layers()


if __name__ == "__main__":
    main()
