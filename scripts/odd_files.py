"""Reads every NIfTI file below some folders with Duomo, nibabel and SimpleITK, and says which are read, refused or wrong.

    cargo build --release -p duomo-data --example copy_nifti
    pip install nibabel SimpleITK
    python scripts/odd_files.py target/release/examples/copy_nifti FOLDER…

Duomo reads each file and writes it again; nibabel reads both. "Wrong" is a file whose copy has another shape, values that
differ by more than 1e-6 of the largest, or an affine off by more than 1e-6 of its largest entry in nibabel or SimpleITK.
Infinite voxels and NaN count as 0, which is what Duomo makes of them, with a warning.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy
import SimpleITK

LPS = numpy.diag([-1.0, -1.0, 1.0])


def simpleitk_affine(path):
    image = SimpleITK.ReadImage(str(path))
    size = image.GetDimension()
    if size < 3:
        return None
    turn = numpy.array(image.GetDirection()).reshape(size, size)[:3, :3] * numpy.array(image.GetSpacing()[:3])
    return numpy.column_stack([LPS @ turn, LPS @ numpy.array(image.GetOrigin()[:3])])


def load(path, out):
    """As nibabel does, which wants both halves of a pair packed or neither, and looks for one name only."""
    stem = str(path).removesuffix(".gz")
    if not stem.endswith((".hdr", ".img")):
        return nibabel.load(path)
    for half in [".hdr", ".img"]:
        plain = Path(stem).with_suffix(half)
        data = plain.read_bytes() if plain.exists() else gzip.decompress(Path(f"{plain}.gz").read_bytes())
        (out / plain.name).write_bytes(data)
    return nibabel.load(out / Path(stem).name)


def true_affine(image):
    """As nibabel has it, in mm, except where it deviates from the specification: without sform and qform."""
    if image.header["sform_code"] <= 0 and image.header["qform_code"] <= 0:
        return numpy.diag([*image.header.get_zooms()[:3], 1.0])[:3]
    return {"meter": 1e3, "micron": 1e-3}.get(image.header.get_xyzt_units()[0], 1.0) * image.affine[:3]


def compare(path, result, out):
    """What is wrong with a copy, or nothing."""
    original, copy = load(path, out), nibabel.load(result["copy"])
    expected = numpy.nan_to_num(numpy.asanyarray(original.dataobj, dtype=numpy.float64), nan=0, posinf=0, neginf=0)
    found = numpy.asanyarray(copy.dataobj, dtype=numpy.float64)
    if expected.size != found.size:
        return f"shape {found.shape}, nibabel has {expected.shape}"
    expected = expected.reshape(found.shape, order="F")
    if numpy.abs(found - expected).max() > 1e-6 * max(numpy.abs(expected).max(), 1e-30):
        return "voxel values differ"
    affine = true_affine(original)
    tolerance = 1e-6 * numpy.abs(affine).max()
    if numpy.abs(numpy.array(result["affine"]) - affine).max() > tolerance:
        return f"Duomo's affine {result['affine']} is not {affine}"
    if numpy.abs(copy.affine - original.affine).max() > tolerance:
        return "the copy has another affine in nibabel"
    # SimpleITK places files without a form by a rule of its own, and 2D files in a plane.
    if original.header["sform_code"] > 0 or original.header["qform_code"] > 0:
        found = simpleitk_affine(result["copy"])
        if found is not None and numpy.abs(found - affine).max() > max(tolerance, 1e-6):
            return f"the copy has another affine in SimpleITK: {found}"
    if result["labels"] is not None:
        labels = numpy.asanyarray(nibabel.load(result["labels"]).dataobj)
        if not numpy.array_equal(labels, numpy.round(expected).reshape(labels.shape, order="F")):
            return "labels differ"
    return None


def main():
    program, folders = sys.argv[1], [Path(folder) for folder in sys.argv[2:]]
    endings = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.name.endswith(endings))
    counts = {"read": 0, "refused": 0, "wrong": 0}
    with tempfile.TemporaryDirectory() as out:
        lines = subprocess.run([program, out, *paths], check=True, capture_output=True, text=True).stdout.splitlines()
        for path, line in zip(paths, lines, strict=True):
            result = json.loads(line)
            if "refused" in result:
                verdict, words = "refused", result["refused"].replace(f"{path.parent}/", "")
            else:
                fault = compare(path, result, Path(out))
                verdict = "wrong" if fault else "read"
                words = fault or "; ".join(result["warnings"])
            counts[verdict] += 1
            print(f"{verdict:8} {path}{': ' if words else ''}{words}")
    print(f"{len(paths)} files: {counts['read']} read as nibabel does, {counts['refused']} refused, {counts['wrong']} wrong")


if __name__ == "__main__":
    main()
