#!/usr/bin/env python3
"""Checks with nibabel and SimpleITK that a prediction lies where its image lies.

    scripts/check_affine.py IMAGES PREDICTIONS     two folders, paired by name

Prints the largest difference of the affines' entries (nibabel) and of origin, spacing and direction
(SimpleITK), and of the shapes; exits with 1 if any is above 1e-6. Packages: nibabel, SimpleITK.
"""

import pathlib
import sys

import nibabel
import numpy
import SimpleITK


def largest(one, other):
    return float(numpy.abs(numpy.asarray(one) - numpy.asarray(other)).max())


def main():
    images, predictions = map(pathlib.Path, sys.argv[1:3])
    worst = {"nibabel": 0.0, "SimpleITK": 0.0}
    pairs, refused = 0, 0
    for prediction in sorted(predictions.glob("*.nii.gz")):
        image = images / prediction.name
        if not image.exists():
            continue
        pairs += 1
        one, other = nibabel.load(image), nibabel.load(prediction)
        assert one.shape == other.shape, (image, one.shape, other.shape)
        for code in ("sform_code", "qform_code", "xyzt_units"):
            assert one.header[code] == other.header[code], (image, code)
        worst["nibabel"] = max(worst["nibabel"], largest(one.affine, other.affine))
        try:
            one = SimpleITK.ReadImage(str(image))
        except RuntimeError:  # ITK refuses some headers whatever the voxels
            refused += 1
            continue
        other = SimpleITK.ReadImage(str(prediction))
        assert one.GetSize() == other.GetSize(), image
        for part in ("GetOrigin", "GetSpacing", "GetDirection"):
            difference = largest(getattr(one, part)(), getattr(other, part)())
            worst["SimpleITK"] = max(worst["SimpleITK"], difference)
    print(f"{pairs} pairs, {refused} images that SimpleITK does not read; largest difference: {worst}")
    sys.exit(0 if pairs and max(worst.values()) <= 1e-6 else 1)


if __name__ == "__main__":
    main()
