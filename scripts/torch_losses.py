"""The total loss of Eq. 5 in PyTorch, with the class-specific affinity of Eqs. 2 to 4, as crates/train computes it."""

import torch
import torch.nn.functional as F
from torch import Tensor

PAIRS = ((5, 6), (6, 7))
GROUPS = (5, 6, 7)
AFFINITY_WEIGHT = 0.5
SHORTEST = 1e-8


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Soft Dice plus cross-entropy weighted by class; `[B, C, H, W]` and `[B, H, W]`."""
    classes = logits.shape[1]
    probabilities = logits.softmax(1)
    hot = (labels.unsqueeze(1) == torch.arange(classes).view(1, -1, 1, 1)).to(logits.dtype)
    of_truth, pixels = probabilities * hot, hot.sum((0, 2, 3))
    overlap, squares = of_truth.sum((0, 2, 3)), probabilities.square().sum((0, 2, 3))
    dice = 1 - (2 * overlap / (squares + pixels + 1e-7)).mean()
    weight = (1 - pixels / pixels.sum())[labels.long()]
    cross_entropy = -(weight * of_truth.sum(1).clamp(0.005, 1).log()).mean()
    return dice + cross_entropy


class Regions:
    """The pixels of every class at the features' resolution, sorted once for all affinities of a modality."""

    def __init__(self, labels: Tensor, side: int, classes: int):
        step = labels.shape[-1] // side
        coarse = labels[:, ::step, ::step].flatten().long()
        self.order = coarse.argsort(stable=True)
        self.sizes = torch.bincount(coarse, minlength=classes).tolist()

    def split(self, features: Tensor) -> tuple[Tensor, ...]:
        """Unit channel vectors of every class, `[pixels, channels]`."""
        rows = features.permute(0, 2, 3, 1).flatten(0, 2).index_select(0, self.order)
        return tuple(F.normalize(part, dim=0, eps=SHORTEST) for part in rows.split(self.sizes))


def affinity_loss(features: list[dict[int, Tensor]], labels: list[Tensor], classes: int) -> Tensor:
    """Eq. 4 between two modalities: one product per class over that class's pixels only."""
    regions = [Regions(label, of[GROUPS[0]].shape[-1], classes) for label, of in zip(labels, features)]
    sides = [{group: region.split(of[group]) for group in GROUPS} for region, of in zip(regions, features)]
    shared = [c for c in range(classes) if all(region.sizes[c] for region in regions)]
    terms = []
    for l, k in PAIRS:
        for c in shared:
            one, other = (side[l][c].T @ side[k][c] for side in sides)
            terms.append((one - other).square().mean())
    return torch.stack(terms).sum() / (classes * len(PAIRS))
