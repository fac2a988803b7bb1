"""The network of crates/model in PyTorch, channels last: what the benches `step` and `predict` compare with.

Tensors are `[B, C, H, W]`. Weights come by the names that crates/model gives them, and their shapes say how
wide and deep the network is.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON, MOMENTUM, SLOPE = 1e-3, 0.1, 0.2
POOLED_GROUPS = (1, 2, 3)
DILATED_GROUP = 8
STRIDE = 8


class SymmetricPad(torch.autograd.Function):
    """Mirrors the border with its own pixels repeated, in one copy; PyTorch has no such mode beyond one pixel."""

    @staticmethod
    def forward(ctx, x: Tensor, width: int) -> Tensor:
        ctx.width = width
        batch, channels, h, w = x.shape
        out = torch.empty((batch, channels, h + 2 * width, w + 2 * width), memory_format=torch.channels_last)
        out[:, :, width : width + h, width : width + w] = x
        for i in range(width):
            out[:, :, width - 1 - i, width : width + w] = x[:, :, i]
            out[:, :, width + h + i, width : width + w] = x[:, :, h - 1 - i]
        for i in range(width):
            out[:, :, :, width - 1 - i] = out[:, :, :, width + i]
            out[:, :, :, width + w + i] = out[:, :, :, width + w - 1 - i]
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        width = ctx.width
        h, w = (side - 2 * width for side in gradient.shape[2:])
        folded = gradient[:, :, :, width : width + w].clone(memory_format=torch.preserve_format)
        for i in range(width):
            folded[:, :, :, i] += gradient[:, :, :, width - 1 - i]
            folded[:, :, :, w - 1 - i] += gradient[:, :, :, width + w + i]
        for i in range(width):
            folded[:, :, width + i] += folded[:, :, width - 1 - i]
            folded[:, :, width + h - 1 - i] += folded[:, :, width + h + i]
        return folded[:, :, width : width + h], None


def mirrored(x: Tensor, width: int) -> Tensor:
    """As `SymmetricPad`, in operations that every compiler and exporter knows."""
    for axis in (2, 3):
        side = x.shape[axis]
        before = [x.narrow(axis, i, 1) for i in reversed(range(width))]
        after = [x.narrow(axis, side - 1 - i, 1) for i in range(width)]
        x = torch.cat([*before, x, *after], axis)
    return x


def symmetric(x: Tensor, width: int) -> Tensor:
    if torch.compiler.is_compiling():
        return mirrored(x, width)
    return SymmetricPad.apply(x, width)


def dropped(x: Tensor, probability: float) -> Tensor:
    """Dropout. PyTorch draws a float per element on the CPU; random bytes are several times as fast."""
    threshold = round(256 * probability)
    if torch.compiler.is_compiling() or threshold != 256 * probability:
        return F.dropout(x, probability)
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    keep = (words.view(torch.uint8)[: x.numel()] >= threshold).to(x.dtype).mul_(1 / (1 - probability))
    return x * keep.as_strided(x.shape, x.stride())


def skip(x: Tensor, channels: int) -> Tensor:
    """`x` with zero channels on both sides, up to `channels`."""
    missing = channels - x.shape[1]
    return F.pad(x, (0, 0, 0, 0, missing // 2, missing - missing // 2)) if missing else x


class Network(nn.Module):
    """The network in training: batch statistics and dropout, one row of every norm per modality."""

    def __init__(self, weights: dict[str, Tensor], dropout: float):
        super().__init__()
        self.dropout = dropout
        self.blocks = blocks_of(weights)
        for name, value in weights.items():
            if value.dim() == 4:
                value = value.contiguous(memory_format=torch.channels_last)
            if "running" in name:
                self.register_buffer(key(name), value.clone())
            else:
                self.register_parameter(key(name), nn.Parameter(value.clone(memory_format=torch.preserve_format)))

    def forward(self, images: list[Tensor], keep: tuple[int, ...]) -> tuple[list[Tensor], list[dict[int, Tensor]]]:
        """Logits and the kept groups' features of every modality; all modalities pass the kernels as one batch."""
        modalities = len(images)
        features = {}
        x = F.conv2d(torch.cat(images), self.get("stem"), padding=1)
        for group, count in self.blocks.items():
            for block in range(1, count + 1):
                x = self.residual(x, f"group{group}.block{block}", 1 + (group == DILATED_GROUP), modalities)
            features[group] = x
            if group in POOLED_GROUPS:
                x = F.max_pool2d(x, 2)
        for unit in (1, 2):
            x = self.unit(x, f"group9.unit{unit}", 1, modalities)
        x = F.conv2d(symmetric(x, 1), self.get("group10.weight"))
        x = F.pixel_shuffle(self.norm(x, "group10.norm", modalities), STRIDE)
        logits = F.conv2d(symmetric(x, 2), self.get("output"))
        parts = {group: features[group].chunk(modalities) for group in keep}
        return list(logits.chunk(modalities)), [{g: x[m] for g, x in parts.items()} for m in range(modalities)]

    def residual(self, x: Tensor, name: str, dilation: int, modalities: int) -> Tensor:
        y = self.unit(x, f"{name}.unit1", dilation, modalities)
        y = self.unit(y, f"{name}.unit2", dilation, modalities)
        return y.add_(skip(x, y.shape[1]))

    def unit(self, x: Tensor, name: str, dilation: int, modalities: int) -> Tensor:
        x = self.norm(x, f"{name}.norm", modalities)
        x = F.conv2d(x, self.get(f"{name}.weight"), padding=dilation, dilation=dilation)
        return dropped(x, self.dropout) if self.dropout else x

    def norm(self, x: Tensor, name: str, modalities: int) -> Tensor:
        parts = [self.norm_of(part, name, row) for row, part in enumerate(x.chunk(modalities))]
        return torch.cat(parts)

    def norm_of(self, x: Tensor, name: str, row: int) -> Tensor:
        mean, variance = self.get(f"{name}.running_mean")[row], self.get(f"{name}.running_var")[row]
        gamma, beta = self.get(f"{name}.gamma")[row], self.get(f"{name}.beta")[row]
        return F.leaky_relu_(F.batch_norm(x, mean, variance, gamma, beta, True, MOMENTUM, EPSILON), SLOPE)

    def get(self, name: str) -> Tensor:
        return getattr(self, key(name))


class Inference(nn.Module):
    """One modality's network in use. A norm right behind a convolution is folded into it."""

    def __init__(self, weights: dict[str, Tensor], modality: int):
        super().__init__()
        self.blocks = blocks_of(weights)
        for name, value in weights.items():
            value = value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value[modality]
            self.register_buffer(key(name), value.clone(memory_format=torch.preserve_format))
        blocks = [f"group{group}.block{block}" for group, count in self.blocks.items() for block in range(1, count + 1)]
        for name in [*blocks, "group9"]:
            self.fold(f"{name}.unit1.weight", f"{name}.unit2.norm")
        self.fold("group10.weight", "group10.norm")

    def fold(self, kernel: str, norm: str) -> None:
        scale = self.get(f"{norm}.gamma") / (self.get(f"{norm}.running_var") + EPSILON).sqrt()
        bias = self.get(f"{norm}.beta") - self.get(f"{norm}.running_mean") * scale
        self.get(kernel).mul_(scale[:, None, None, None])
        self.register_buffer(key(f"{kernel}.bias"), bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.get("stem"), padding=1)
        for group, count in self.blocks.items():
            for block in range(1, count + 1):
                y = self.two_units(x, f"group{group}.block{block}", 1 + (group == DILATED_GROUP))
                x = y + skip(x, y.shape[1])
            if group in POOLED_GROUPS:
                x = F.max_pool2d(x, 2)
        x = self.two_units(x, "group9", 1)
        x = F.conv2d(symmetric(x, 1), self.get("group10.weight"), self.get("group10.weight.bias"))
        x = F.pixel_shuffle(F.leaky_relu(x, SLOPE, inplace=True), STRIDE)
        return F.conv2d(symmetric(x, 2), self.get("output"))

    def two_units(self, x: Tensor, name: str, dilation: int) -> Tensor:
        parts = [self.get(f"{name}.unit1.norm.{part}") for part in ("running_mean", "running_var", "gamma", "beta")]
        x = F.leaky_relu(F.batch_norm(x, *parts, False, MOMENTUM, EPSILON), SLOPE, inplace=True)
        weight, bias = self.get(f"{name}.unit1.weight"), self.get(f"{name}.unit1.weight.bias")
        x = F.leaky_relu(F.conv2d(x, weight, bias, padding=dilation, dilation=dilation), SLOPE, inplace=True)
        return F.conv2d(x, self.get(f"{name}.unit2.weight"), padding=dilation, dilation=dilation)

    def get(self, name: str) -> Tensor:
        return getattr(self, key(name))


def key(name: str) -> str:
    """A parameter's name as PyTorch allows it: without dots."""
    return name.replace(".", "_")


def blocks_of(weights: dict[str, Tensor]) -> dict[int, int]:
    """Residual blocks of groups 1 to 8."""
    return {group: sum(name.startswith(f"group{group}.") and name.endswith("unit1.weight") for name in weights)
            for group in range(1, 9)}
