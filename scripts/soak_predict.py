#!/usr/bin/env python3
"""Kills `duomo predict` again and again, and checks that nothing is lost, doubled or changed.

    scripts/soak_predict.py --duomo target/release/duomo --work target/soak

Makes small volumes, some of them faulty, and a tiny model; predicts them once without a disturbance and
once killed by SIGKILL at random moments and started again; compares. Needs nothing but Python and Linux.
"""

import argparse
import gzip
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

TINY = [
    "schedule.steps=60", "schedule.validate_every=60", "schedule.network.width=2",
    "schedule.preparation.crop=32", "schedule.preparation.spacing_mm=4.0", "schedule.batch=4",
]


def nifti(shape, spacing, datatype, voxels):
    """A NIfTI-1 file as bytes; `shape` and `spacing` along the file's axes."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, *{"i16": (4, 16), "rgb": (128, 24)}[datatype])
    struct.pack_into("<8f", header, 76, 1.0, *spacing, 1, 1, 1, 1)
    struct.pack_into("<fff", header, 108, 352.0, 1.0, 0.0)
    header[123] = 2
    struct.pack_into("<hh", header, 252, 0, 1)
    for row in range(3):
        line = [0.0] * 4
        line[row] = spacing[row]
        struct.pack_into("<4f", header, 280 + 16 * row, *line)
    header[344:348] = b"n+1\0"
    return bytes(header) + voxels


def good_volume(rng):
    """Noise around a bright disc, 48 × 40 pixels, three slices."""
    width, height, depth = 48, 40, 3
    x0, y0, radius = rng.uniform(15, 33), rng.uniform(13, 27), rng.uniform(5, 10)
    disc = [(x - x0) ** 2 + (y - y0) ** 2 < radius**2 for y in range(height) for x in range(width)]
    noise = rng.randbytes(width * height * depth)
    voxels = [b + 300 * disc[i % len(disc)] for i, b in enumerate(noise)]
    packed = struct.pack(f"<{len(voxels)}h", *voxels)
    return nifti((width, height, depth), (2.0, 2.0, 8.0), "i16", packed)


def faulty_file(kind, rng):
    whole = gzip.compress(good_volume(rng), mtime=0)
    if kind == 0:
        return b""
    if kind == 1:
        return whole[: len(whole) // 2]
    if kind == 2:
        return b"this is not a scan\n" * 20
    if kind == 3:  # claims 100 GB and holds nothing
        return gzip.compress(nifti((32000, 32000, 50), (1, 1, 1), "i16", b""), mtime=0)
    if kind == 4:
        return gzip.compress(nifti((8, 8, 2), (1, 1, 1), "rgb", bytes(384)), mtime=0)
    broken = bytearray(whole)  # a checksum that does not fit
    broken[-6] ^= 1
    return bytes(broken)


def make_volumes(folder, count, faulty_share):
    rng = random.Random(7)
    folder.mkdir(parents=True)
    faulty = set(rng.sample(range(count), round(count * faulty_share)))
    names = {"good": [], "faulty": []}
    for number in range(count):
        name = f"case{number:04}"
        if number in faulty:
            data = faulty_file(len(names["faulty"]) % 6, rng)
        else:
            data = gzip.compress(good_volume(rng), compresslevel=1, mtime=0)
        names["faulty" if number in faulty else "good"].append(name)
        (folder / f"{name}.nii.gz").write_bytes(data)
    return names


def make_model(duomo, work):
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    phantom = [duomo, "phantom", "mscmr", "--out", work / "phantom", "--patients", "6"]
    subprocess.run([*phantom, "--matrix-scale", "0.2"], **quiet)
    run = [duomo, "train", "--dataset", "mscmr", "--method", "csa", "--schedule", "quick"]
    settings = [word for setting in TINY for word in ("--set", setting)]
    subprocess.run([*run, "--data", work / "phantom", "--out", work / "run", *settings], **quiet)
    return work / "run" / "model.safetensors"


def lines_of(manifest):
    try:
        return manifest.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def resident_kib(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def start(command, log):
    return subprocess.Popen(command, stdout=log, stderr=log)


def undisturbed(command, manifest, log, count):
    """Runs to the end; returns exit code, seconds and the peak memory of each tenth, in MiB."""
    begun, peaks = time.monotonic(), [0] * 10
    process = start(command, log)
    while process.poll() is None:
        tenth = min(9, lines_of(manifest) * 10 // count)
        peaks[tenth] = max(peaks[tenth], resident_kib(process.pid))
        time.sleep(0.02)
    return process.returncode, time.monotonic() - begun, [round(peak / 1024, 1) for peak in peaks]


def disturbed(command, manifest, log, count, kills):
    """Kills the process at random moments of the whole batch, then lets it end."""
    rng, killed = random.Random(), []
    goals = sorted(rng.sample(range(count // 20, count * 19 // 20), kills))
    for goal in goals:
        process = start(command, log)
        while lines_of(manifest) < goal and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed.append(lines_of(manifest))
        process.wait()
    process = start(command, log)
    return process.wait(), killed


def label_maps(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.nii.gz")}


def check(condition, sentence):
    print(("ok      " if condition else "WRONG   ") + sentence, flush=True)
    return condition


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duomo", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="is removed first")
    parser.add_argument("--volumes", type=int, default=2000)
    parser.add_argument("--faulty", type=float, default=0.05)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    work, count = options.work, options.volumes
    shutil.rmtree(work, ignore_errors=True)
    names = make_volumes(work / "scans", count, options.faulty)
    model = make_model(options.duomo, work)
    base = [options.duomo, "predict", "--model", model, "--modality", "LGE", work / "scans", "--out"]

    with open(work / "log.txt", "w") as log:
        one, two = work / "undisturbed", work / "killed"
        manifests = [folder / "manifest.jsonl" for folder in (one, two)]
        code, seconds, peaks = undisturbed([*base, one], manifests[0], log, count)
        code_two, killed = disturbed([*base, two], manifests[1], log, count, options.kills)
        again = time.monotonic()
        code_three = start([*base, two], log).wait()
        again = time.monotonic() - again
    merge = [options.duomo, "merge-manifests", two, "--inputs", work / "scans", "--json"]
    coverage = json.loads(subprocess.run(merge, stdout=subprocess.PIPE).stdout)

    entries = [json.loads(line) for line in manifests[1].read_text().splitlines()]
    done = [entry["case"] for entry in entries if entry["status"] == "done"]
    failed = {entry["case"]: entry.get("error") for entry in entries if entry["status"] == "failed"}
    print(f"undisturbed: {seconds:.1f} s, peak MiB in each tenth of the cases: {peaks}")
    print(f"killed after these numbers of cases: {killed}; a start with nothing to do: {again:.1f} s")
    results = [
        check((code, code_two, code_three) == (4, 4, 4), "exit code 4 each time"),
        check(len(killed) == options.kills, f"{len(killed)} processes were killed at work"),
        check(sorted(done) == names["good"], f"{len(done)} good cases are done, each once"),
        check(sorted(failed) == names["faulty"] and all(failed.values()),
              f"{len(failed)} faulty ones are named with a reason"),
        check(len(entries) == count, "the manifest has one line for each case"),
        check(label_maps(one) == label_maps(two) and len(label_maps(two)) == len(done),
              "label maps are byte for byte those of the undisturbed run"),
        check([name for name in os.listdir(two) if name.startswith(".")] == [],
              "no temporary file is left"),
        check(coverage["done"] == len(done) and coverage["missing"] == coverage["done_twice"] == []
              and coverage["damaged"] == [], "merge-manifests agrees"),
        check(max(peaks[7:]) <= 1.05 * max(peaks[1:4]),
              f"memory is flat: {max(peaks[1:4])} MiB early, {max(peaks[7:])} MiB late"),
    ]
    for reason in sorted({text.split(".nii.gz: ")[-1] for text in failed.values()}):
        print(f"        reason: {reason}")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
