"""Reads JPEGs of all kinds with the command and with Pillow.

Usage: jpegs.py PARFORK JPEGS FOLDER: files are written by the program JPEGS and read in the folder
"""

import collections
import itertools
import os
import subprocess
import sys

import numpy as np
from PIL import Image

parfork, writer, folder = (os.path.abspath(word) for word in sys.argv[1:])
THREE = """1x1,1x1,1x1 2x1,1x1,1x1 1x2,1x1,1x1 2x2,1x1,1x1 4x1,1x1,1x1 1x4,1x1,1x1 4x2,1x1,1x1 2x4,1x1,1x1 3x1,1x1,1x1 1x3,1x1,1x1
    3x2,1x1,1x1 2x3,1x1,1x1 2x2,2x1,2x1 2x2,1x2,1x2 2x1,2x1,2x1 1x2,1x2,1x2 3x1,3x1,3x1 2x2,2x1,1x2 2x2,1x1,2x2 2x2,2x2,1x1 2x1,2x1,1x1
    1x1,2x1,2x1 1x1,1x2,1x2 1x1,2x2,2x2 1x1,2x1,1x1 1x1,1x1,2x2 4x1,2x1,2x1 4x2,2x2,2x2 4x1,2x1,1x1 2x4,1x2,1x2 1x4,1x2,1x2 2x1,1x2,1x2
    1x2,2x1,2x1 4x4,4x4,4x4 3x3,1x1,1x1""".split()
FOUR = """1x1,1x1,1x1,1x1 2x2,1x1,1x1,2x2 2x1,1x1,1x1,2x1 1x2,1x1,1x1,1x2 2x2,1x1,1x1,1x1 4x1,1x1,1x1,4x1 2x1,1x1,1x1,1x1 2x2,2x1,2x1,2x2
    1x1,1x1,1x1,2x2 2x2,1x1,1x1,2x1""".split()
ONE = "1x1 2x1 1x2 2x2 4x4 3x1 1x3 4x1 3x3".split()
WAYS = "- o p a r t R s f l n sr st pr pt".split()
SIZES = "61x45 16x16 7x5 130x33 1x1 1x300 300x1".split()

kinds = [("rgb", "ycc", factors, way, size) for factors, way, size in itertools.product(THREE, WAYS, SIZES)]
kinds += [("rgb", "rgb", factors, way, SIZES[0]) for factors, way in itertools.product(THREE, WAYS)]
kinds += [("cmyk", to, factors, way, SIZES[0]) for to, factors, way in itertools.product(("cmyk", "ycck"), FOUR, WAYS)]
kinds += [("gray", "gray", factors, way, size) for factors, way, size in itertools.product(ONE, "- o p a r t R pr".split(), SIZES)]
made = []
for number, (first, to, factors, way, size) in enumerate(kinds):
    path = f"{folder}/{number}-{to}-{factors.replace(',', '_')}-{way}-{size}.jpg"
    written = subprocess.run([writer, path, *size.split("x"), first, to, factors, way], capture_output=True)
    # The standard has at most ten blocks in a unit.
    made += [path] if written.returncode == 0 else []
names = os.path.join(folder, "read")
done = subprocess.run([parfork, "image", *made, "-o", names + "/{stem}.png", "--filter", "brightness:0", "-q"], capture_output=True, text=True)
refusals = dict(line.removeprefix("parfork: ").split(" is set aside: ", 1) for line in done.stderr.splitlines() if " is set aside: " in line)
counts, reasons, bad = collections.Counter(), collections.Counter(), 0
for path in made:
    if path in refusals:
        why = refusals[path].split("(")[-1].split(")")[0]
        counts["refused by name"] += "is not read here" in refusals[path]
        bad += "is not read here" not in refusals[path]
        reasons["components of other samples" if why.startswith("components of") else why] += 1
        continue
    with Image.open(path) as image:
        want = np.array(image.convert("RGB") if image.mode == "CMYK" else image).astype(int)
    got = np.array(Image.open(f"{names}/{os.path.basename(path)[:-4]}.png")).astype(int)
    worst = np.abs(got - want).max() if got.shape == want.shape else 256
    # Decoders spread colours each in their own way.
    counts["as Pillow reads it" if worst <= 4 else "within 12 levels" if worst <= 12 else "otherwise"] += 1
    if worst > 12:
        bad += 1
        print("otherwise", os.path.basename(path), worst)
print(f"{len(made)} JPEGs: " + ", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
for why, count in reasons.most_common():
    print(f"   refused: {why} ({count})")
sys.exit(bool(bad))
