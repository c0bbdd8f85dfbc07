"""Reads pictures and arrays with the command and with Pillow or NumPy.

Usage: corpus.py PARFORK FOLDER FOLDERS...: makes files in the first folder, reads those and what is in the others
"""

import collections
import io
import itertools
import os
import subprocess
import sys

import numpy as np
import tifffile
from PIL import Image, ImageOps

Image.MAX_IMAGE_PIXELS = None
parfork, made, others = os.path.abspath(sys.argv[1]), os.path.join(sys.argv[2], "made"), sys.argv[3:]
os.makedirs(made, exist_ok=True)
random = np.random.default_rng(1)
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".pbm", ".pnm", ".pam")


def picture(mode, size):
    width, height = size
    y, x = np.mgrid[:height, :width]
    planes = [128 + 100 * np.sin(x / 9 + k) * np.cos(y / 7 - k) + random.normal(0, 4, (height, width)) for k in range(4)]
    whole = np.stack(planes, -1).clip(0, 255).astype(np.uint8)
    if mode == "I;16":
        return Image.fromarray(whole[..., 0].astype(np.uint16) * 251)
    if mode in ("1", "P"):
        return Image.fromarray(whole[..., :3]).convert(mode)
    return Image.fromarray(whole[..., {"L": 0, "LA": slice(2), "RGB": slice(3), "RGBA": slice(4), "CMYK": slice(4)}[mode]], mode)


def make():
    sizes = [(1, 1), (1, 40), (40, 1), (7, 9), (16, 16), (33, 17), (64, 48), (131, 67)]
    ways = [("png", mode, dict(compress_level=level)) for mode in ("1", "L", "LA", "RGB", "RGBA", "P", "I;16") for level in (0, 6)]
    ways += [("png", "P", dict(bits=bits)) for bits in (1, 2, 4)]
    ways += [("png", mode, dict(transparency=clear)) for mode, clear in (("L", 9), ("RGB", (1, 2, 3)), ("P", 3))]
    for mode, quality, progressive, sampling in itertools.product(("L", "RGB", "CMYK"), (30, 75, 95), (False, True), (0, 1, 2)):
        ways.append(("jpg", mode, dict(quality=quality, progressive=progressive, subsampling=sampling)))
    ways += [("jpg", "RGB", dict(restart_marker_blocks=count, optimize=True)) for count in (1, 3)]
    ways += [("jpg", "RGB", dict(subsampling=name, restart_marker_rows=1)) for name in ("4:4:4", "4:2:2", "4:2:0", "4:1:1")]
    for mode, packing in itertools.product(("1", "L", "LA", "RGB", "RGBA", "P", "I;16", "CMYK"), (None, "packbits", "tiff_lzw", "tiff_adobe_deflate")):
        ways.append(("tif", mode, dict(compression=packing)))
    ways += [("tif", "1", dict(compression="group4")), ("tif", "1", dict(compression="group3")), ("tif", "RGB", dict(compression="jpeg")), ("tif", "L", dict(compression="jpeg"))]
    ways += [("bmp", mode, {}) for mode in ("1", "L", "RGB", "RGBA", "P")]
    ways += [("ppm", "RGB", {}), ("pgm", "L", {}), ("pbm", "1", {}), ("pgm", "I;16", {})]
    number = 0
    for (ending, mode, how), size in itertools.product(ways, sizes):
        for orientation in (None, 1 + number % 8) if (ending in ("png", "jpg") or how.get("compression")) and size in ((7, 9), (33, 17)) else (None,):
            more = dict(how)
            if orientation:
                exif = Image.Exif()
                exif[274] = orientation
                more["exif"] = exif
            number += 1
            try:
                picture(mode, size).save(f"{made}/{number}-{mode.replace(';', '')}-{ending}.{ending}", **more)
            except (OSError, ValueError) as refused:
                print("not made", ending, mode, how, size, refused)
    for dtype, channels, planar, tiled, big, order, packing in itertools.product(("u1", "u2"), (1, 3, 4), ("contig", "separate"), (None, (16, 32)), (False, True), "<>", (None, "zlib", "lzw")):
        number += 1
        array = random.integers(0, np.iinfo(dtype).max, (23, 41, channels), dtype=dtype)
        array = array[..., 0] if channels == 1 else array if planar == "contig" else array.transpose(2, 0, 1).copy()
        how = dict(photometric="minisblack") if channels == 1 else dict(photometric="rgb", planarconfig=planar)
        how |= dict(extrasamples=["unassalpha"]) if channels == 4 else {}
        how |= dict(compression=packing, predictor=True) if packing else {}
        tifffile.imwrite(f"{made}/{number}-t.tif", array, tile=tiled, bigtiff=big, byteorder=order, metadata=None, **how)
    for dtype, order, shape in itertools.product("? u1 <u2 >u4 <u8 i1 >i2 <i4 i8 f2 <f4 >f8 c8 >c16".split(), "CF", ((), (0, 3), (5,), (4, 3), (2, 3, 4), (1000,))):
        number += 1
        np.save(f"{made}/{number}.npy", np.asarray(random.integers(0, 2, shape), dtype=dtype, order=order))
    for dtype in ("S3", "U2", "M8[s]", "O"):
        number += 1
        np.save(f"{made}/{number}.npy", np.zeros(3, dtype))


def turned(array, orientation):
    array = array.swapaxes(0, 1) if orientation > 4 else array
    array = array[::-1] if orientation in (3, 4, 7, 8) else array
    return array[:, ::-1] if orientation in (2, 3, 6, 7) else array


def pillow(path):
    """As the command means it: 8 or 16 bits, channels as they are, upright."""
    if path.endswith((".tif", ".tiff")):
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            orientation = page.tags[274].value if 274 in page.tags else 1
            if page.bitspersample == 16 and page.photometric in (1, 2):
                array = page.asarray()
                array = array if page.planarconfig == 1 or array.ndim == 2 else array.transpose(1, 2, 0)
                return turned(array, orientation)
    with Image.open(path) as image:
        is_png = image.format == "PNG"
        # A TIFF is upright when it is loaded.
        image.load()
        image = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
        if "transparency" in image.info and is_png:
            image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
        elif image.mode == "1":
            image = image.convert("L")
        elif image.mode in ("P", "CMYK", "YCbCr"):
            image = image.convert("RGB")
        return np.array(image)


def look_at_picture(path, out):
    done = subprocess.run([parfork, "shm", "create", "corpus", "--from", path, "--", "sh", "-c", f'"{parfork}" shm get corpus -o "{out}"'], capture_output=True, text=True)
    text = done.stderr.strip()
    if done.returncode < 0 or "panicked" in text or "the process that reads it" in text or "gives up on it" in text:
        return "panic", text
    try:
        want = pillow(path)
    except Exception as refused:
        want = refused
    if done.returncode:
        return ("refused, and by Pillow too" if isinstance(want, Exception) else "refused by name"), text
    if isinstance(want, Exception):
        return "read, and not by Pillow", str(want)
    got = np.load(out)
    got = got[..., 0] if want.ndim == 2 and got.shape[-1] == 1 else got
    if got.ndim == 3 and want.ndim == 2 and (got == got[..., :1]).all():
        got = got[..., 0]
    if (got.dtype, want.dtype) == (np.uint16, np.uint8):
        got = got >> 8
    if got.shape != want.shape:
        return "different", f"{got.shape} for {want.shape}"
    worst = int(np.abs(got.astype(int) - want.astype(int)).max(initial=0))
    # Decoders of JPEG round and spread colours each in their own way.
    most = 24 if path.lower().endswith((".jpg", ".jpeg")) or "jpeg" in path else 2
    return ("alike", "") if worst <= most else ("different", f"{worst} levels")


def look_at_array(path, out):
    copy = 'while read -r order; do dd if="$PARFORK_IN_A" of="$PARFORK_OUT_OUT" bs=1M iflag=skip_bytes skip="$PARFORK_OFFSET_A" conv=notrunc status=none; echo done; done'
    done = subprocess.run([parfork, "exec", "--in", "a=" + path, "--out", "out=" + out, "-n", "1", "-q", "--split", "rows/1", "--", "sh", "-c", copy], capture_output=True, text=True)
    text = done.stderr.strip()
    if done.returncode < 0 or "panicked" in text:
        return "panic", text
    try:
        want = np.load(path)
    except Exception as refused:
        want = refused
    if done.returncode:
        return ("refused, and by NumPy too" if isinstance(want, Exception) else "refused by name"), text
    # The bytes are copied in their order.
    order = "C" if want.flags.c_contiguous else "F"
    return ("alike", "") if np.array_equal(np.load(out).ravel(), want.ravel(order)) else ("different", "")


make()
files = [os.path.join(folder, name) for top in (made, *others) for folder, _, names in os.walk(top) for name in names]
out = os.path.join(sys.argv[2], "out.npy")
bad = 0
for what, look, endings in (("pictures", look_at_picture, ENDINGS), (".npy files", look_at_array, (".npy",))):
    counts, said = collections.Counter(), {}
    for path in sorted(path for path in files if path.lower().endswith(endings) and os.path.getsize(path)):
        if os.path.exists(out):
            os.remove(out)
        kind, text = look(path, out)
        counts[kind] += 1
        if kind in ("different", "panic"):
            bad += 1
            print(kind, path, text)
        elif kind == "refused by name":
            said.setdefault(text.rpartition(path + ": ")[2][:100], path)
    print(f"{sum(counts.values())} {what}: " + ", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    for text, path in said.items():
        print("   refused:", text, f"({os.path.basename(path)})")
sys.exit(bool(bad))
