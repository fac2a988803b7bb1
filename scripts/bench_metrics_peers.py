"""Times other tools on the arrays that the metrics bench wrote to a folder.

Every tool gets arrays in memory and does what it offers of Dice, HD, HD95, ASSD and NSD for every
label, smaller cases first. A tool that cannot be imported is reported as missing. MedPy is left
out: it takes minutes.
"""

import importlib.metadata
import json
import math
import os
import pathlib
import sys
import time

import numpy as np

# surface-distance 0.1 was written for numpy 1.
np.Inf = np.inf

ENOUGH_S = 6.0
RUNS_MAX = 5

# A tool that takes longer than this for a case is spared the larger ones.
TOO_SLOW_S = 2.0


def mikan():
    """Dice, HD, HD95 and ASSD; Rust, in parallel over labels. Its order of axes is ours."""
    from mikan import _mikan

    def run(prediction, reference, spacing_mm, labels):
        rows = _mikan.calc_metrics_use_ndarray_rs(reference, prediction, labels, spacing_mm[::-1], True)
        return [row["hausdorff_distance"] for row in rows]

    return run


def surface_distance():
    """Dice, HD, HD95, ASD and NSD by DeepMind's definition."""
    import surface_distance as tool

    def run(prediction, reference, spacing_mm, labels):
        found = []
        for label in labels:
            masks = reference == label, prediction == label
            tool.compute_dice_coefficient(*masks)
            distances = tool.compute_surface_distances(*masks, spacing_mm)
            found.append(tool.compute_robust_hausdorff(distances, 100))
            tool.compute_robust_hausdorff(distances, 95)
            tool.compute_average_surface_distance(distances)
            for tolerance_mm in (1, 2):
                tool.compute_surface_dice_at_tolerance(distances, tolerance_mm)
        return found

    return run


def monai():
    """Dice, HD, HD95, ASSD and NSD; each distance is a call of its own."""
    import torch
    from monai import metrics

    def run(prediction, reference, spacing_mm, labels):
        one_hot = [
            torch.stack([torch.from_numpy(side == label) for label in labels])[None]
            for side in (prediction, reference)
        ]
        usual = {"include_background": True, "spacing": spacing_mm}
        metrics.compute_dice(*one_hot)
        found = metrics.compute_hausdorff_distance(*one_hot, **usual)
        metrics.compute_hausdorff_distance(*one_hot, percentile=95, **usual)
        metrics.compute_average_surface_distance(*one_hot, symmetric=True, **usual)
        metrics.compute_surface_dice(*one_hot, class_thresholds=[1.0] * len(labels), **usual)
        return found[0].tolist()

    return run


def simpleitk():
    """Dice and the Hausdorff distance between volumes; neither HD95 nor ASSD."""
    import SimpleITK

    def run(prediction, reference, spacing_mm, labels):
        sides = [SimpleITK.GetImageFromArray(side) for side in (reference, prediction)]
        for side in sides:
            side.SetSpacing(spacing_mm[::-1])
        SimpleITK.LabelOverlapMeasuresImageFilter().Execute(*sides)
        found = []
        for label in labels:
            tool = SimpleITK.HausdorffDistanceImageFilter()
            tool.Execute(*(side == label for side in sides))
            found.append(tool.GetHausdorffDistance())
        return found

    return run


# Name of the package, and what makes its timed function.
TOOLS = {
    "mikan-rs": mikan,
    "surface-distance": surface_distance,
    "monai": monai,
    "SimpleITK": simpleitk,
}


def read(folder, case):
    """Returns prediction and reference."""
    files = [f"{case['name']}.prediction", f"{case['reference']}.reference"]
    return [np.fromfile(folder / file, np.uint8).reshape(case["shape"]) for file in files]


def seconds_of(tool, arrays, case):
    """Returns the seconds of every run and the Hausdorff distance of every label."""
    seconds = []
    while not seconds or (len(seconds) < RUNS_MAX and sum(seconds) < ENOUGH_S):
        start = time.perf_counter()
        found = tool(*arrays, case["spacing_mm"], case["labels"])
        seconds.append(time.perf_counter() - start)
    return seconds, found


def main(folder):
    """Times every tool on every case and writes `peers.json`."""
    report = {"versions": {}, "missing": {}, "failed": {}, "seconds": {}, "hausdorff_mm": {}}
    tools = {}
    for name, make in TOOLS.items():
        try:
            tools[name] = make()
            report["versions"][name] = importlib.metadata.version(name)
        except (ImportError, OSError) as error:
            report["missing"][name] = str(error)
            print(f"{name} is missing: {error}", file=sys.stderr)
    report["cores"] = os.cpu_count()
    # Those that took too long for the next larger case, though not for one that asks for them.
    slow = set()
    for case in json.loads((folder / "cases.json").read_text()):
        arrays = read(folder, case)
        times, distances = {}, {}
        wanted = case["tools"]
        for name, tool in tools.items():
            is_asked = name in wanted if wanted else name not in slow
            if not is_asked:
                continue
            try:
                times[name], found = seconds_of(tool, arrays, case)
            except KeyboardInterrupt:
                raise
            # A panic of a Rust extension is no `Exception`.
            except BaseException as error:
                print(f"{case['name']}: {name} failed: {error}", file=sys.stderr)
                report["failed"].setdefault(case["name"], {})[name] = str(error)
                continue
            # JSON has no infinity, which some tools return for a label that is nowhere.
            distances[name] = [value if math.isfinite(value) else None for value in found]
            print(f"{case['name']}: {name} {min(times[name]):.3f} s", file=sys.stderr)
            if not wanted and min(times[name]) > TOO_SLOW_S:
                slow.add(name)
        report["seconds"][case["name"]] = times
        report["hausdorff_mm"][case["name"]] = distances
    (folder / "peers.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
