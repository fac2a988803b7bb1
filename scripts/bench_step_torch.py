"""Times whole training steps in PyTorch, channels last: the peer of crates/train/benches/network.

Arguments: the case's file, `eager` or `compile`, the dropout, the learning rate and the L2 weight. Every line
read is one step, answered with its seconds and its loss.
"""

import sys

import torch
from bench_server import load, serve
from torch_losses import AFFINITY_WEIGHT, GROUPS, affinity_loss, segmentation_loss
from torch_network import Network


def main() -> None:
    path, mode, dropout, rate, l2 = sys.argv[1:]
    torch.manual_seed(0)
    weights, data = load(path)
    images = [data[f"images.{m}"].contiguous(memory_format=torch.channels_last) for m in (0, 1)]
    labels = [data[f"labels.{m}"] for m in (0, 1)]
    network = Network(weights, float(dropout))
    classes = len(weights["output"])
    # Coupled weight decay is the gradient of the L2 term, without a pass of its own over the weights.
    kernels = [p for p in network.parameters() if p.dim() == 4]
    others = [p for p in network.parameters() if p.dim() != 4]
    groups = [{"params": kernels, "weight_decay": float(l2)}, {"params": others}]
    optimizer = torch.optim.Adam(groups, lr=float(rate), fused=True)
    # The affinity's regions depend on the labels, so compiled it would be slower: a graph for every batch.
    compiled = mode == "compile"
    forward, segmentation = (torch.compile(f) if compiled else f for f in (network, segmentation_loss))

    def step() -> float:
        logits, features = forward(images, GROUPS)
        loss = sum(segmentation(z, label) for z, label in zip(logits, labels))
        loss = loss + AFFINITY_WEIGHT * affinity_loss(features, labels, classes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    serve(step, lambda loss: [loss])


if __name__ == "__main__":
    main()
