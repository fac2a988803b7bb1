#!/usr/bin/env python3
"""Checks an exported network against what `duomo predict` makes of an image, with ONNX Runtime.

    duomo predict --model MODEL --modality LGE patient7_LGE.nii.gz --out labels --postprocess none --probabilities=f32
    duomo export --model MODEL --modality LGE --out lge.onnx
    scripts/check_onnx.py lge.onnx patient7_LGE.nii.gz labels

The model must leave pixels as they are (no `spacing_mm`, slices as stored, no histogram cut). Duomo's crop is
found again by where its probabilities are exactly those of the background. Prints the share of pixels with
the same class and the largest differences; exits with 1 if the share is below 0.9999. Packages: nibabel,
numpy, onnx, onnxruntime.
"""

import json
import pathlib
import sys

import nibabel
import numpy
import onnx
import onnxruntime


def volume(path):
    """`[D, H, W]`."""
    return numpy.asarray(nibabel.load(path).dataobj).T


def first_of_crop(inside, side):
    """Where a crop of `side` begins along an axis of which `inside` tells what it covers."""
    covered = numpy.flatnonzero(inside)
    return int(covered[0]) if covered[0] > 0 else int(covered[-1]) + 1 - side


def main():
    model, image, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    onnx.checker.check_model(model, full_check=True)
    card = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    card = json.loads(card["duomo"])
    preparation, side = card["preparation"], card["preparation"]["crop"]
    assert preparation["spacing_mm"] is None and preparation["plane"] == "stored", preparation
    assert preparation["clip_top_percent"] is None, preparation

    case = image.name.removesuffix(".nii.gz")
    names = ["background"] + [label["name"] for label in card["labels"]]
    files = [folder / "probabilities" / f"{case}_{index}-{name}.nii.gz" for index, name in enumerate(names)]
    expected = numpy.stack([volume(path) for path in files], axis=1)  # [D, C, H, W]
    labels, grey = volume(folder / image.name), volume(image).astype(numpy.float32)
    found = expected[:, 0] < 1
    starts = [first_of_crop(found.any(axis=axes), side) for axes in ((0, 2), (0, 1))]

    # A square that reaches beyond the slice shows the slice's darkest value there.
    lows = [max(0, start) for start in starts]
    highs = [min(length, start + side) for start, length in zip(starts, grey.shape[1:])]
    inside = (slice(lows[0], highs[0]), slice(lows[1], highs[1]))
    there = tuple(slice(low - start, high - start) for low, high, start in zip(lows, highs, starts))
    squares = numpy.repeat(grey.min(axis=(1, 2)), side * side).reshape(-1, 1, side, side)
    squares[:, 0, there[0], there[1]] = grey[:, inside[0], inside[1]]

    # Neighbours are channels; the first and last slice stand in for those beyond the ends.
    channels = card["architectures"][0]["input_slices"]
    neighbours = numpy.arange(len(grey))[:, None] + numpy.arange(channels) - channels // 2
    squares = squares[numpy.clip(neighbours, 0, len(grey) - 1), 0]  # [D, s, S, S]

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    classes, logits = session.run(["classes", "logits"], {"slices": squares})
    classes, logits = (array[..., there[0], there[1]] for array in (classes, logits))
    expected, labels = expected[:, :, inside[0], inside[1]], labels[:, inside[0], inside[1]]
    values = numpy.array([0] + [label["values"][0] for label in card["labels"]])
    same = float((values[classes] == labels).mean())

    # Probabilities know logits up to a constant for each pixel; that of the background is stored as a
    # complement, which leaves little of a small one.
    known = expected[:, 1:].min(axis=1) > 1e-30
    logarithms = numpy.log(numpy.maximum(expected, 1e-45))
    centred = [x[:, 1:] - x[:, 1:].mean(axis=1, keepdims=True) for x in (logarithms, logits)]
    difference = float(abs(centred[0] - centred[1]).max(axis=1)[known].max())
    probabilities = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    constant, _ = session.run(["classes", "logits"], {"slices": numpy.full_like(squares[:1], 5)})

    print(f"{case}: {len(grey)} slices, crop {side}² from {starts}: classes equal in {100 * same:.4f} % of")
    print(f"{classes.size} pixels; logits differ by {difference:.2e} at most (of {abs(logits).max():.1f}),")
    print(f"probabilities by {abs(probabilities - expected).max():.2e}; a constant slice becomes class {sorted(set(constant.flatten().tolist()))}")
    sys.exit(0 if same >= 0.9999 else 1)


if __name__ == "__main__":
    main()
