#!/usr/bin/env python3
"""Checks with nibabel and SimpleITK that a prediction lies where its image lies.

    scripts/check_affine.py make IMAGES            writes images of many geometries and kinds of file
    scripts/check_affine.py IMAGES PREDICTIONS     compares two folders, paired by name

Prints the largest difference of the affines' entries (nibabel) and of origin, spacing and direction
(SimpleITK), as a share of the image's largest entry because NIfTI-1 holds 32-bit reals; exits with 1 if
any is above 1e-6, or if shape, codes or units differ. Packages: nibabel, SimpleITK.
"""

import pathlib
import sys

import nibabel
import numpy
import SimpleITK


def largest(one, other):
    one = numpy.asarray(one, dtype=float)
    return float(numpy.abs(one - numpy.asarray(other)).max() / max(1.0, numpy.abs(one).max()))


def oblique(spacing, angles, origin):
    x, y, z = numpy.radians(angles)
    turn = numpy.array([[1, 0, 0], [0, numpy.cos(x), -numpy.sin(x)], [0, numpy.sin(x), numpy.cos(x)]])
    turn = numpy.array([[numpy.cos(y), 0, numpy.sin(y)], [0, 1, 0], [-numpy.sin(y), 0, numpy.cos(y)]]) @ turn
    turn = numpy.array([[numpy.cos(z), -numpy.sin(z), 0], [numpy.sin(z), numpy.cos(z), 0], [0, 0, 1]]) @ turn
    affine = numpy.eye(4)
    affine[:3, :3] = turn @ numpy.diag(spacing)
    affine[:3, 3] = origin
    return affine


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(0)
    grey = random.integers(0, 900, (40, 36, 3)).astype(numpy.int16)
    axes = {"ras": (1, 1, 1), "las-left-handed": (-1, 1, 1), "lps": (-1, -1, 1), "rpi-left-handed": (1, -1, -1)}
    affines = {name: numpy.diag([1.25 * x, 1.5 * y, 8.0 * z, 1]) for name, (x, y, z) in axes.items()}
    affines["oblique"] = oblique((0.73, 0.76, 5.0), (17, -31, 44), (-123.456789, 98.7654321, 45.6))
    affines["oblique-left-handed"] = affines["oblique"] @ numpy.diag([-1, 1, 1, 1])
    affines["psr"] = numpy.array([[0, 0, 8.0, 1], [-1.25, 0, 0, 2], [0, 1.5, 0, 3], [0, 0, 0, 1]])
    kinds = {"nifti1": nibabel.Nifti1Image, "nifti2": nibabel.Nifti2Image}
    forms = {"both": (1, 1), "sform": (4, 0), "qform": (0, 2)}
    for place, affine in affines.items():
        for kind, image_type in kinds.items():
            for form, (sform, qform) in forms.items():
                for ending in ("nii", "nii.gz"):
                    image = image_type(grey, affine)
                    image.header.set_xyzt_units("mm", "sec")
                    image.set_sform(affine, sform)
                    image.set_qform(affine, qform)
                    if form == "both":  # stored as 16-bit integers with a slope
                        image.header.set_slope_inter(2.44, -7.0)
                    name = f"{place}_{kind}_{form}_{ending.replace('.', '-')}.{ending}"
                    nibabel.save(image, folder / name)
    print(f"{len(list(folder.iterdir()))} images in {folder}")


def image_of(images, prediction):
    stem = prediction.name.removesuffix(".nii.gz")
    return next((path for path in (images / f"{stem}.nii.gz", images / f"{stem}.nii") if path.exists()), None)


def affine_of(image):
    """The affine of an image as ITK sees it, whose first two axes run to the left and to the back."""
    flip = numpy.diag([-1, -1, 1])
    affine = numpy.eye(4)
    affine[:3, :3] = flip @ numpy.reshape(image.GetDirection(), (3, 3)) @ numpy.diag(image.GetSpacing())
    affine[:3, 3] = flip @ numpy.array(image.GetOrigin())
    return affine


def compare(images, predictions):
    worst = {"nibabel": 0.0, "SimpleITK": 0.0}
    pairs, refused = 0, 0
    for prediction in sorted(predictions.glob("*.nii.gz")):
        image = image_of(images, prediction)
        if image is None:
            continue
        pairs += 1
        one, other = nibabel.load(image), nibabel.load(prediction)
        assert one.shape == other.shape, (image, one.shape, other.shape)
        for code in ("sform_code", "qform_code", "xyzt_units"):
            assert one.header[code] == other.header[code], (image, code)
        worst["nibabel"] = max(worst["nibabel"], largest(one.affine, other.affine))
        affine, other = one.affine, SimpleITK.ReadImage(str(prediction))
        try:
            one = SimpleITK.ReadImage(str(image))
        except RuntimeError:  # ITK refuses NIfTI-2, and some headers: its prediction against nibabel's affine
            refused += 1
            worst["SimpleITK"] = max(worst["SimpleITK"], largest(affine, affine_of(other)))
            continue
        assert one.GetSize() == other.GetSize(), image
        for part in ("GetOrigin", "GetSpacing", "GetDirection"):
            difference = largest(getattr(one, part)(), getattr(other, part)())
            worst["SimpleITK"] = max(worst["SimpleITK"], difference)
    print(f"{pairs} pairs, {refused} images that SimpleITK does not read; largest difference: {worst}")
    return pairs and max(worst.values()) <= 1e-6


if __name__ == "__main__":
    first, second = sys.argv[1:3]
    if first == "make":
        make(pathlib.Path(second))
    else:
        sys.exit(0 if compare(pathlib.Path(first), pathlib.Path(second)) else 1)
