"""Writes small NIfTI files with the oddities and faults of real ones, and what a reader must make of them.

    python scripts/trap_files.py tests/fixtures/nifti            needs nothing but Python
    python scripts/trap_files.py tests/fixtures/nifti --check    also asks nibabel (pip install nibabel) whether it agrees

Every file is put together byte by byte from nifti1.h and nifti2.h, independently of Duomo's writer. `expected.json` lists
each with the shape [D, H, W], affine and values that a reader must find, or with words of the refusal. The bytes do not
depend on the machine; packed ones may differ between versions of zlib, which changes nothing that is expected of them.
"""

import json
import math
import struct
import sys
import zlib
from pathlib import Path

SHAPE = (2, 3, 4)  # [D, H, W]; the file's own order is W, H, D
COUNT = 24
SFORM = ((1.25, 0.0, 0.0, -10.0), (0.0, 1.5, 0.0, -20.0), (0.0, 0.0, 5.0, -30.0))
CODES = {"u8": 2, "i16": 4, "i32": 8, "f32": 16, "complex64": 32, "f64": 64, "rgb24": 128, "i8": 256, "u16": 512, "u32": 768,
         "i64": 1024, "u64": 1280, "f128": 1536, "complex128": 1792, "complex256": 2048, "rgba32": 2304}
LETTERS = {"u8": "B", "i8": "b", "i16": "h", "u16": "H", "i32": "i", "u32": "I", "i64": "q", "u64": "Q", "f32": "f", "f64": "d"}
BITS = {"rgb24": 24, "rgba32": 32, "complex64": 64, "complex128": 128, "complex256": 256, "f128": 128}


def bits(kind):
    return BITS.get(kind) or 8 * struct.calcsize(LETTERS[kind])


def header1(order="<", kind="i16", dim=(3, 4, 3, 2), pixdim=(1.0, 1.25, 1.5, 5.0), offset=352.0, slope=1.0, inter=0.0, sform=SFORM,
            sform_code=1, qform_code=0, quatern=(0.0, 0.0, 0.0), qoffset=(0.0, 0.0, 0.0), magic=b"n+1\0", units=2):
    """The 348 bytes of nifti1.h."""
    head = bytearray(348)

    def put(at, letters, *values):
        struct.pack_into(order + letters, head, at, *values)

    put(0, "i", 348)
    put(40, "8h", *dim, *[1] * (8 - len(dim)))
    put(70, "2h", CODES[kind], bits(kind))
    put(76, "8f", *pixdim, *[0.0] * (8 - len(pixdim)))
    put(108, "3f", offset, slope, inter)
    put(123, "B", units)
    put(252, "2h", qform_code, sform_code)
    put(256, "6f", *quatern, *qoffset)
    put(280, "12f", *[value for row in sform for value in row])
    head[344:] = magic
    return bytes(head)


def header2(order="<", dim=(3, 4, 3, 2), magic=b"n+2\0\r\n\x1a\n", offset=544):
    """The 540 bytes of nifti2.h."""
    head = bytearray(540)

    def put(at, letters, *values):
        struct.pack_into(order + letters, head, at, *values)

    put(0, "i", 540)
    head[4:12] = magic
    put(12, "2h", CODES["i16"], 16)
    put(16, "8q", *dim, *[1] * (8 - len(dim)))
    put(104, "8d", 1.0, 1.25, 1.5, 5.0, 0.0, 0.0, 0.0, 0.0)
    put(168, "q2d", offset, 1.0, 0.0)
    put(344, "2i", 0, 1)
    put(400, "12d", *[value for row in SFORM for value in row])
    put(500, "i", 2)
    return bytes(head)


def voxels(values, kind="i16", order="<"):
    return struct.pack(f"{order}{len(values)}{LETTERS[kind]}", *values)


def single(values=tuple(range(COUNT)), extension=b"\0\0\0\0", order="<", kind="i16", **fields):
    """A NIfTI-1 file; `extension` lies between header and voxels."""
    body = voxels(values, kind, order) if kind in LETTERS else bytes(values)
    offset = fields.pop("offset", 348.0 + len(extension))
    return header1(order, kind, offset=offset, **fields) + extension + body


def row(values, kind, **fields):
    """A NIfTI-1 file of [1, 1, n] voxels."""
    return single(values, kind=kind, dim=(3, len(values), 1, 1), **fields)


def header_extension(offset):
    """An extension of code 6 (comment) that makes voxels start at `offset`."""
    size = offset - 352
    return b"\1\0\0\0" + struct.pack("<2i", size, 6) + b"x" * (size - 8)


def gz(data, flags=0, optional=b""):
    """One gzip member without a time stamp."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    trailer = struct.pack("<2I", zlib.crc32(data), len(data) % 2**32)
    return bytes([0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 2, 255]) + optional + body + trailer


OPTIONAL = (4 | 8 | 16, struct.pack("<H", 6) + b"BC\x02\0\x10\0" + b"patient1_LGE.nii\0" + b"a comment\0")


def affine_of_qform(quatern, offset, spacing, qfac):
    """Method 2 of nifti1.h."""
    b, c, d = quatern
    a = math.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    turn = [[a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c]]
    dx, dy, dz = spacing
    return [[r[0] * dx, r[1] * dy, r[2] * dz * qfac, offset[i]] for i, r in enumerate(turn)]


def corner_distance(one, two, shape):
    """The largest distance between corresponding outer corners of two grids of one shape."""
    depth, height, width = shape
    corners = [(i, j, k) for i in (-0.5, width - 0.5) for j in (-0.5, height - 0.5) for k in (-0.5, depth - 0.5)]
    at = lambda affine, c: [sum(r[n] * c[n] for n in range(3)) + r[3] for r in affine]
    return max(math.dist(at(one, c), at(two, c)) for c in corners)


FILES, ENTRIES = {}, []


def image(name, data, values=tuple(range(COUNT)), shape=SHAPE, affine=SFORM, warning=None, nibabel=True, read="image"):
    """A file that must be read; `nibabel=False` where nibabel reads it otherwise, for a reason stated beside it."""
    if data is not None:
        FILES[name] = data
    ENTRIES.append({"file": name, "read": read, "shape": shape, "affine": affine, "values": list(values), "warning": warning,
                    "nibabel": nibabel})


def labels(name, data, values, **more):
    image(name, data, values, read="labels", **more)


def refused(name, data, words, read="image"):
    """A file that must be refused with a sentence that holds these words."""
    if data is not None:
        FILES[name] = data
    ENTRIES.append({"file": name, "read": read, "refused": words})


def geometry():
    quatern, qoffset = (0.0, 1.0, 0.0), (90.0, -126.0, -72.0)
    image("qform-only-qfac-minus-1.nii",
          single(sform_code=0, qform_code=1, quatern=quatern, qoffset=qoffset, pixdim=(-1.0, 1.25, 1.5, 5.0)),
          affine=affine_of_qform(quatern, qoffset, (1.25, 1.5, 5.0), -1.0))
    quatern, qoffset = (0.1, -0.2, 0.3), (1.0, 2.0, 3.0)
    image("qform-only-oblique.nii.gz", gz(single(sform_code=0, qform_code=2, quatern=quatern, qoffset=qoffset)),
          affine=affine_of_qform(quatern, qoffset, (1.25, 1.5, 5.0), 1.0))
    image("sform-and-qform-disagree.nii", single(qform_code=1, qoffset=(-10.0, -17.0, -26.0)), warning="5.000 mm apart; the sform is used")
    image("pixdim-contradicts-sform.nii", single(pixdim=(1.0, 1.0, 1.5, 5.0)), warning="the sform is used")
    # nibabel centres such a volume and mirrors its first axis; the specification's method 1 has the origin at voxel 0.
    image("neither-form.nii", single(sform_code=0), affine=[[1.25, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 5.0, 0]],
          warning="orientation is unknown", nibabel=False)
    flat = ((1.25, 0, 0, 0), (0, 0, 0, 0), (0, 0, 5.0, 0))
    refused("sform-flat.nii", single(sform=flat), "the sform does not map voxels to space")
    shape, psr = (2, 3, 4), ((0.0, 0.0, 1.0, 0.0), (-1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0))
    ras = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
    image("psr-image.nii", single(sform=psr, pixdim=(1.0, 1.0, 1.0, 1.0)), affine=psr)
    mask = [0, 200, 500, 600] * 6
    labels("ras-labels-of-psr-image.nii", single(mask, kind="u16", sform=ras, pixdim=(1.0, 1.0, 1.0, 1.0)), mask, affine=ras)
    ENTRIES.append({"pair": ["psr-image.nii", "ras-labels-of-psr-image.nii"], "distance_mm": corner_distance(psr, ras, shape)})


def values():
    narrow = struct.unpack("<f", struct.pack("<f", 2.44))[0]
    image("slope-2.44.nii", single(slope=2.44, inter=-7.0), [raw * narrow - 7.0 for raw in range(COUNT)])
    narrow = struct.unpack("<f", struct.pack("<f", 5.16))[0]
    image("slope-5.16.nii.gz", gz(single(slope=5.16)), [raw * narrow for raw in range(COUNT)])
    image("slope-0.nii", single(slope=0.0, inter=1000.0))
    for kind in ["u8", "i8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"]:
        image(f"type-{kind}.nii", single(kind=kind))
    image("big-endian.nii", single(order=">"))
    image("big-endian-f64.nii", single(order=">", kind="f64"))
    row1 = lambda n: (1, 1, n)
    # nibabel hands NaN and infinities through.
    image("nan-and-infinities.nii", row([1.0, math.nan, math.inf, -math.inf, 5.0], "f32"), [1, 0, 0, 0, 5], row1(5),
          warning="3 voxels are NaN or infinite", nibabel=False)
    refused("nan-in-labels.nii", row([1.0, math.nan], "f32"), "1 voxels are not labels: the first is NaN", read="labels")
    # 500 / 0.0457771 = 10922.5: stored as 10922 it decodes to 499.977. nibabel does not round.
    labels("labels-u16-slope-0.0457771.nii.gz", gz(row([0, 4369, 10922, 13107], "u16", slope=0.0457771)), [0, 200, 500, 600], shape=row1(4),
           nibabel=False)
    for kind in ["f64", "i16", "u16"]:
        labels(f"labels-{kind}.nii", row([0, 200, 500, 600], kind), [0, 200, 500, 600], shape=row1(4))
    labels("labels-f64-near-integers.nii", row([0.0, 199.995, 500.009], "f64"), [0, 200, 500], shape=row1(3), nibabel=False)
    refused("labels-half.nii", row([0.0, 1.0, 0.5], "f32"), "the first is 0.5 at voxel [0, 0, 2]", read="labels")
    labels("labels-1220-and-421.nii", row([0, 421, 1220, 1220], "i16"), [0, 421, 1220, 1220], shape=row1(4))
    ENTRIES.append({"unknown_labels": "labels-1220-and-421.nii", "dataset": "mscmr", "words": "421 in 1 voxel, 1220 in 2 voxels"})
    colour = bytes(COUNT * 32)
    for kind, words in [("rgb24", "128 (RGB24, colour)"), ("rgba32", "2304 (RGBA32, colour)"), ("complex64", "32 (complex numbers)"),
                        ("complex128", "1792 (complex numbers)"), ("complex256", "2048 (complex numbers)"),
                        ("f128", "1536 (128-bit real numbers)")]:
        refused(f"type-{kind}.nii", single(colour[: COUNT * bits(kind) // 8], kind=kind), words)


def containers():
    for offset in [736, 864, 5968, 13168]:
        image(f"vox-offset-{offset}.nii.gz", gz(single(extension=header_extension(offset))))
    for order, name in [("<", "little"), (">", "big")]:
        image(f"nifti2-{name}-endian.nii", header2(order) + b"\0\0\0\0" + voxels(range(COUNT), order=order))
    refused("nifti2-converted-line-end.nii", header2(magic=b"n+2\0\n\x1a\n\0") + bytes(52), "with its line-end guard")
    head, body = header1(magic=b"ni1\0", offset=0.0), voxels(range(COUNT))
    for stem, hdr, img in [("pair", ".hdr", ".img"), ("pair-packed", ".hdr.gz", ".img.gz"), ("pair-mixed", ".hdr", ".img.gz")]:
        FILES[stem + hdr] = gz(head) if hdr.endswith("gz") else head
        FILES[stem + img] = gz(body) if img.endswith("gz") else body
        # nibabel wants both halves packed or neither.
        image(stem + hdr, None, nibabel=stem != "pair-mixed")
        image(stem + img, None, nibabel=stem != "pair-mixed")
    refused("half-pair.hdr", head, "half-pair.img does not exist beside it")
    image("4d-with-trailing-1.nii", single(dim=(4, 4, 3, 2, 1)))
    image("7d-with-trailing-1.nii", single(dim=(7, 4, 3, 2, 1, 1, 1, 1)))
    image("2d.nii", single(dim=(2, 4, 6)), shape=(1, 6, 4))
    refused("4d.nii", single(dim=(4, 4, 3, 1, 2)), "field dim[4] is 2, so this 4D file holds more than one volume")
    refused("5d.nii", single(dim=(5, 4, 3, 1, 1, 2)), "field dim[5] is 2, so this 5D file holds more than one volume")
    plain = single()
    image("gzip-optional-fields.nii.gz", gz(plain, *OPTIONAL))
    image("gzip-members.nii.gz", gz(plain[:100]) + gz(plain[100:360], *OPTIONAL) + gz(plain[360:]) + gz(b""))
    image("gzip-padded.nii.gz", gz(plain) + bytes(512), nibabel=False)
    image("packed-though-named.nii", gz(plain), nibabel=False)
    image("plain-though-named.nii.gz", plain, nibabel=False)
    image("bytes-behind-the-voxels.nii", plain + b"x" * 160, warning="160 bytes behind the last voxel are ignored")


def damage():
    plain = single()
    packed = gz(plain)
    refused("empty.nii.gz", b"", "the file is empty")
    refused("empty-member.nii.gz", gz(b""), "the file is empty")
    refused("header-cut.nii", plain[:200], "the file ends after 200 bytes")
    refused("voxels-cut.nii", plain[:-1], "declare 400 bytes, but the file holds 399")
    refused("gzip-cut.nii.gz", packed[:-20], "the gzip stream is damaged")
    refused("gzip-wrong-crc.nii.gz", packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:], "the gzip stream is damaged")
    refused("gzip-wrong-length.nii.gz", packed[:-1] + bytes([packed[-1] ^ 1]), "the gzip stream is damaged")
    refused("nrrd.nii", b"NRRD0004\n" * 60, "this is not NIfTI")
    refused("analyze.hdr", header1(magic=b"\0\0\0\0"), "this is an ANALYZE 7.5 header")
    refused("wrong-magic.nii", header1(magic=b"n+9\0") + bytes(52), "field magic is \"n+9\\x00\"")
    refused("dim0-8.nii", single(dim=(8, 4, 3, 2)), "field dim[0] is 8, expected 1 to 7 axes")
    refused("dim0-negative.nii", single(dim=(-3, 4, 3, 2)), "field dim[0] is -3, expected 1 to 7 axes")
    refused("dim-negative.nii", single(dim=(3, 4, -3, 2)), "field dim[2] is -3, expected at least 1")
    refused("dim-zero.nii", single(dim=(3, 0, 3, 2)), "field dim[1] is 0, expected at least 1")
    refused("dim-overflow.nii", header2(dim=(3, 2**62, 2**62, 2)) + bytes(52), "more voxels than this machine can address")
    small = header1(dim=(3, 4000, 4000, 3200)) + bytes(1700)
    refused("2-kb-declares-100-gb.nii", small, "declare 102400000352 bytes, but the file holds 2048")
    refused("2-kb-declares-100-gb.nii.gz", gz(small), "declare 102400000352 bytes, but the file holds 2048")
    refused("vox-offset-fraction.nii", single(offset=352.5), "field vox_offset is 352.5")
    refused("vox-offset-in-header.nii", single(offset=100.0), "field vox_offset is 100")
    refused("datatype-77.nii", plain[:70] + struct.pack("<h", 77) + plain[72:], "field datatype is 77")
    refused("gzip-bomb.nii.gz", gz(plain + bytes(4 << 20)), "unpacks to more than the 400 bytes")


def check(folder):
    """Asks nibabel about every file that it reads by the same rules, and counts what it refuses too."""
    import nibabel
    import numpy

    agreed = refusals = 0
    for entry in ENTRIES:
        if "refused" in entry:
            try:
                numpy.asanyarray(nibabel.load(folder / entry["file"]).dataobj)
            except Exception:  # nibabel has no one exception for what it cannot read
                refusals += 1
        elif entry.get("nibabel"):
            found = nibabel.load(folder / entry["file"])
            voxels = numpy.asanyarray(found.dataobj, dtype=float)
            assert numpy.allclose(voxels.ravel(order="F"), entry["values"], atol=1e-5), entry["file"]
            assert numpy.allclose(found.affine[:3], entry["affine"], atol=1e-5), (entry["file"], found.affine)
            agreed += 1
    print(f"nibabel {nibabel.__version__}: the same shape, affine and values in {agreed} files, {refusals} refused by both")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for part in [geometry, values, containers, damage]:
        part()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    lines = ",\n".join(json.dumps(entry) for entry in ENTRIES)
    (folder / "expected.json").write_text(f"[\n{lines}\n]\n")
    size = sum(len(data) for data in FILES.values())
    print(f"{len(FILES)} files, {size} bytes; {len(ENTRIES)} expectations")
    if "--check" in sys.argv:
        check(folder)


if __name__ == "__main__":
    main()
