"""Picture filters of 4096 x 4096 RGB 8-bit, in memory, beside OpenCV, libvips and fast_image_resize on two threads.

Usage: filters.py PARFORK FOLDER [ROUNDS]; benches/peers/run filters makes both.
"""

import json
import os
import statistics
import subprocess
import sys
import time

os.environ["VIPS_CONCURRENCY"] = "2"
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 15
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

try:
    import cv2
    import numpy as np

    cv2.setNumThreads(2)
except ImportError:
    cv2 = None
try:
    import numpy as np
    import pyvips
except ImportError:
    pyvips = None


class Ours:
    """The bench, waiting for lines."""

    def __init__(self):
        built = subprocess.run(
            ["cargo", "bench", "--bench", "filters", "--features", "peers", "--no-run", "--message-format", "json"],
            cwd=root, check=True, capture_output=True, text=True,
        ).stdout
        messages = map(json.loads, filter(None, built.splitlines()))
        path = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "filters"][-1]
        self.process = subprocess.Popen([path, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, who, name):
        print(who, name, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def opencv(picture):
    """By our name: a call that writes to an array made before."""
    out, half, gray = np.empty_like(picture), np.empty((2048, 2048, 3), np.uint8), np.empty((4096, 4096), np.uint8)
    cross = np.float32([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    table = np.rint(255 * (np.arange(256) / 255) ** (1 / 2.2)).astype(np.uint8)
    x, y, length = (np.empty(gray.shape, np.float32) for _ in range(3))

    def sobel():
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY, dst=gray)
        cv2.Sobel(gray, cv2.CV_32F, 1, 0, dst=x)
        cv2.Sobel(gray, cv2.CV_32F, 0, 1, dst=y)
        cv2.magnitude(x, y, magnitude=length)
        return cv2.convertScaleAbs(length)

    return {
        "gaussian:3": lambda: cv2.GaussianBlur(picture, (19, 19), 3, dst=out),
        "sobel": sobel,
        "sharpen": lambda: cv2.filter2D(picture, -1, cross, dst=out),
        "resize:2048x2048": lambda: cv2.resize(picture, (2048, 2048), dst=half, interpolation=cv2.INTER_LANCZOS4),
        "gray": lambda: cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY, dst=gray),
        "contrast:1.5": lambda: cv2.convertScaleAbs(picture, dst=out, alpha=1.5, beta=-63.75),
        "gamma:2.2": lambda: cv2.LUT(picture, table, dst=out),
        "invert": lambda: cv2.bitwise_not(picture, dst=out),
        "threshold:128": lambda: cv2.threshold(picture, 127, 255, cv2.THRESH_BINARY, dst=out),
        "box:4": lambda: cv2.blur(picture, (9, 9), dst=out),
        "rotate:90": lambda: cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE, dst=out),
        "flip:horizontal": lambda: cv2.flip(picture, 1, dst=out),
    }


def libvips(picture):
    image = pyvips.Image.new_from_memory(picture.tobytes(), 4096, 4096, 3, "uchar").copy(interpretation="srgb")
    cross = pyvips.Image.new_from_array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    calls = {
        "gaussian:3": lambda: image.gaussblur(3, min_ampl=0.011),
        "sobel": lambda: image.colourspace("b-w").sobel(),
        "sharpen": lambda: image.conv(cross, precision="integer"),
        "resize:2048x2048": lambda: image.resize(0.5, kernel="lanczos3"),
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


# The most that the project allows itself of OpenCV's time, or of fast_image_resize's.
LIMITS = {"gaussian:3": 0.6, "sobel": 0.3, "sharpen": 0.55, "gray": 1.0, "resize:2048x2048": 1.0}
POINTS = ["contrast:1.5", "gamma:2.2", "invert", "threshold:128"]
LIMITS |= {name: 0.55 for name in POINTS}


def main():
    ours, threads = Ours(), Ours()
    peers = {}
    if cv2 or pyvips:
        picture = np.random.default_rng(0).integers(0, 256, (4096, 4096, 3), dtype=np.uint8)
    if cv2:
        peers["OpenCV"] = opencv(picture)
    if pyvips:
        peers["libvips"] = libvips(picture)
    print(f"4096 x 4096 RGB 8-bit, 2 workers against 2 threads; medians of {rounds} interleaved runs, ms (in brackets the ratio of minima)\n")
    print("| filter | ours | peer | theirs | ours/theirs | limit |\n|---|---:|---|---:|---:|---:|")
    names = sorted({name for calls in peers.values() for name in calls} | {"resize:2048x2048"}, key=list(LIMITS).__contains__)
    for name in reversed(names):
        calls = {peer: (lambda call=calls[name]: timed(call)) for peer, calls in peers.items() if name in calls}
        if name.startswith("resize"):
            calls["fast_image_resize"] = lambda: threads("fast_image_resize", name)
        times = {"ours": [], **{peer: [] for peer in calls}}
        for n in range(rounds + 1):
            for peer, call in [("ours", lambda: ours("crew", name)), *calls.items()]:
                passed = call()
                if n:
                    times[peer].append(passed)
        own = times.pop("ours")
        for peer, theirs in times.items():
            mine, median, best = statistics.median(own), statistics.median(theirs), min(own) / min(theirs)
            against = "fast_image_resize" if name.startswith("resize") else "OpenCV"
            limit = LIMITS.get(name) if peer == against else 1.0 if peer == "libvips" else None
            print(f"| {name} | {mine:.1f} | {peer} | {median:.1f} | {mine / median:.2f} ({best:.2f}) | {limit or ''} |", flush=True)


main()
