"""Picture filters in memory, at each level of vector instructions, beside OpenCV, libvips and fast_image_resize on two threads,
each at the best that this CPU has.

Usage: filters.py [ROUNDS [KIND | FILTER]...]; kinds and filters as in KINDS and FILTERS. benches/peers/run filters makes what it needs.
"""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time

os.environ["VIPS_CONCURRENCY"] = "2"
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

try:
    import numpy as np
    import cv2

    cv2.setNumThreads(2)
except ImportError:
    cv2 = None
try:
    import numpy as np
    import pyvips
except ImportError:
    pyvips = None

# Columns, rows, channels, bits.
KINDS = {
    "RGB8": (4096, 4096, 3, 8),
    "gray8": (4096, 4096, 1, 8),
    "RGBA8": (4096, 4096, 4, 8),
    "odd8": (4093, 3001, 3, 8),
    "gray16": (4096, 4096, 1, 16),
    "RGB16": (4096, 4096, 3, 16),
    "RGBA16": (4096, 4096, 4, 16),
}

FILTERS = ["gaussian:3", "sobel", "sharpen", "box:4", "box:500", "median:1", "median:2", "contrast:1.5", "gamma:2.2", "invert", "brightness:20", "threshold:128", "gray", "rotate:90", "flip:horizontal", "resize"]

# The most that the project allows itself of OpenCV's time, unless it is the usual: as much.
GOALS = {"gaussian:3": 0.7, "sobel": 0.7, "box:500": 2.0}


def levels():
    """Those that this CPU has, the least first."""
    if platform.machine() == "aarch64":
        return ["baseline", "neon"]
    with open("/proc/cpuinfo") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    return ["baseline"] + [level for level, needed in [("v3", "avx2"), ("v4", "avx512vl")] if needed in flags]


class Ours:
    """The bench, waiting for lines."""

    def __init__(self, path, level):
        environment = {**os.environ, "PARFORK_SIMD": level} if level else None
        self.process = subprocess.Popen([path, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def __call__(self, who, kind, name):
        print(who, "x".join(map(str, kind)), name, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def bench():
    built = subprocess.run(
        ["cargo", "bench", "-p", "parfork-workers", "--bench", "filters", "--features", "peers", "--no-run", "--message-format", "json"],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout
    messages = map(json.loads, filter(None, built.splitlines()))
    return [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "filters"][-1]


def opencv(picture, half):
    """By our name: a call that writes to an array made before."""
    height, width = picture.shape[:2]
    deep, channels = picture.dtype == np.uint16, 1 if picture.ndim == 2 else picture.shape[2]
    top = 65535 if deep else 255
    out, small = np.empty_like(picture), np.empty((half[1], half[0], *picture.shape[2:]), picture.dtype)
    turned, gray = np.empty((width, height, *picture.shape[2:]), picture.dtype), np.empty((height, width), picture.dtype)
    cross = np.float32([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    table = np.rint(top * (np.arange(top + 1) / top) ** (1 / 2.2)).astype(picture.dtype)
    x, y, length = (np.empty(gray.shape, np.float32) for _ in range(3))
    to_gray = {3: cv2.COLOR_RGB2GRAY, 4: cv2.COLOR_RGBA2GRAY}.get(channels)

    def luma():
        return picture if to_gray is None else cv2.cvtColor(picture, to_gray, dst=gray)

    def sobel():
        one = luma()
        cv2.Sobel(one, cv2.CV_32F, 1, 0, dst=x)
        cv2.Sobel(one, cv2.CV_32F, 0, 1, dst=y)
        cv2.magnitude(x, y, magnitude=length)
        return length.astype(np.uint16) if deep else cv2.convertScaleAbs(length)

    calls = {
        "gaussian:3": lambda: cv2.GaussianBlur(picture, (19, 19), 3, dst=out),
        "sobel": sobel,
        "sharpen": lambda: cv2.filter2D(picture, -1, cross, dst=out),
        "resize": lambda: cv2.resize(picture, half, dst=small, interpolation=cv2.INTER_LANCZOS4),
        "gamma:2.2": lambda: cv2.LUT(picture, table, dst=out),
        "invert": lambda: cv2.bitwise_not(picture, dst=out),
        "threshold:128": lambda: cv2.threshold(picture, 128 * top // 255 - 1, top, cv2.THRESH_BINARY, dst=out),
        "box:4": lambda: cv2.blur(picture, (9, 9), dst=out),
        "box:500": lambda: cv2.blur(picture, (1001, 1001), dst=out),
        "median:1": lambda: cv2.medianBlur(picture, 3, dst=out),
        "median:2": lambda: cv2.medianBlur(picture, 5, dst=out),
        "rotate:90": lambda: cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE, dst=turned),
        "flip:horizontal": lambda: cv2.flip(picture, 1, dst=out),
    }
    if to_gray is not None:
        calls["gray"] = luma
    if not deep:
        calls["contrast:1.5"] = lambda: cv2.convertScaleAbs(picture, dst=out, alpha=1.5, beta=-63.75)
    return calls


def libvips(picture):
    height, width, channels = picture.shape
    image = pyvips.Image.new_from_memory(picture.tobytes(), width, height, channels, "uchar").copy(interpretation="srgb")
    cross = pyvips.Image.new_from_array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    calls = {
        "gaussian:3": lambda: image.gaussblur(3, min_ampl=0.011),
        "sobel": lambda: image.colourspace("b-w").sobel(),
        "sharpen": lambda: image.conv(cross, precision="integer"),
        "resize": lambda: image.resize(0.5, kernel="lanczos3"),
        "gray": lambda: image.colourspace("b-w"),
        "contrast:1.5": lambda: image.linear(1.5, -63.75, uchar=True),
        "gamma:2.2": lambda: image.gamma(exponent=1 / 2.2),
        "invert": lambda: image.invert(),
        "brightness:20": lambda: image.linear(1, 20, uchar=True),
        "threshold:128": lambda: image >= 128,
        "rotate:90": lambda: image.rot90(),
        "flip:horizontal": lambda: image.fliphor(),
    }
    return {name: lambda call=call: call().write_to_memory() for name, call in calls.items()}


def timed(call):
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def works(call):
    """Whether a peer does this with such a picture."""
    try:
        call()
        return True
    except Exception:
        return False


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    path = bench()
    ours, threads = {level: Ours(path, level) for level in levels()}, Ours(path, None)
    print(f"2 workers against 2 threads; ms: least of {rounds} runs in turns; ratios: of the least, and the median of those of each turn\n")
    asked_for = sys.argv[2:]
    for called in [word for word in asked_for if word in KINDS] or KINDS:
        kind = width, height, channels, bits = KINDS[called]
        half = (width // 2, height // 2)
        peers = {}
        if cv2 or pyvips:
            shape = (height, width) if channels == 1 else (height, width, channels)
            picture = np.random.default_rng(0).integers(0, 1 << bits, shape, dtype=np.uint8 if bits == 8 else np.uint16)
        if cv2:
            peers["OpenCV"] = opencv(picture, half)
        if pyvips and called == "RGB8":
            peers["libvips"] = libvips(picture)
        columns = "".join(f" {level} | {level}/theirs |" for level in ours)
        print(f"\n{called}, {width} x {height}\n\n| filter | peer | theirs |{columns} goal |\n|---|---|---:|{'---:|---:|' * len(ours)}---:|")
        for name in [word for word in asked_for if word in FILTERS] or FILTERS:
            calls = {peer: (lambda call=calls[name]: timed(call)) for peer, calls in peers.items() if name in calls and works(calls[name])}
            asked = "resize:%dx%d" % half if name == "resize" else name
            if name == "resize" and channels != 2 and (bits == 8 or channels == 3):
                calls["fast_image_resize"] = lambda: threads("fast_image_resize", kind, asked)
            calls |= {level: (lambda level=level: ours[level]("crew", kind, asked)) for level in ours}
            times = {who: [] for who in calls}
            for n in range(rounds + 1):
                for who, call in calls.items():
                    passed = call()
                    if n:
                        times[who].append(passed)
            for peer in [who for who in times if who not in ours] or ["nobody"]:
                theirs = times.get(peer, [math.nan])
                cells = ""
                for level in ours:
                    median = statistics.median(one / other for one, other in zip(times[level], theirs))
                    cells += f" {min(times[level]):.1f} | {min(times[level]) / min(theirs):.2f}, {median:.2f} |"
                goal = 1.05 if peer == "fast_image_resize" else 1.0 if peer == "libvips" else GOALS.get(name, 1.0) if peer == "OpenCV" else ""
                print(f"| {name} | {peer} | {min(theirs):.1f} |{cells} {goal} |", flush=True)


main()
