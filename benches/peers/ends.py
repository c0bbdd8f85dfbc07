"""End to end: whole commands from file to file, wall clock, against scripts and commands that do the same.

Usage: ends.py PARFORK FOLDER [ROUNDS [SECTION]...]; sections as in SECTIONS, all if none is given. benches/peers/run ends makes the first two.
"""

import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import time

parfork, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 11
os.chdir(folder)

OPENCV = "import cv2; cv2.imwrite('out.png', cv2.GaussianBlur(cv2.imread('big.png', cv2.IMREAD_UNCHANGED), (0, 0), 3))"
PYVIPS = "import pyvips; pyvips.Image.new_from_file('big.png', access='sequential').gaussblur(3).write_to_file('out.png')"
NUMPY = "import numpy as np; np.save('c.npy', np.load('a.npy') @ np.load('b.npy'))"


def has(module):
    return importlib.util.find_spec(module) is not None


def photograph():
    """4096 x 4096 RGB, mirrored four times, with a sensor's noise; a file as Pillow writes it."""
    import numpy as np
    from PIL import Image
    from skimage import data

    quarter = np.asarray(Image.fromarray(data.astronaut()).resize((2048, 2048), Image.BICUBIC))
    half = np.hstack([quarter, quarter[:, ::-1]])
    whole = np.vstack([half, half[::-1]])
    noise = np.random.default_rng(0).normal(0, 2, whole.shape)
    Image.fromarray(np.clip(whole + noise, 0, 255).astype(np.uint8)).save("big.png")


def jpegs():
    """JPEG to JPEG, 24 megapixels, everybody at quality 95 and 4:2:0; the thumbnail as programs for that make it, from fewer coefficients."""
    if not (has("numpy") and has("PIL")):
        print("no JPEG without NumPy and Pillow")
        return
    import numpy as np
    from PIL import Image

    # Octaves of noise, as in nature, mostly gray, and a sensor's.
    rng, (height, width) = np.random.default_rng(0), (4000, 6000)
    photo = 128 + rng.normal(0, 4, (height, width, 3)).astype(np.float32)
    for octave in range(3, 13):
        few = rng.normal(0, 1, (2 * 2**octave // 3, 2**octave, 3)).astype(np.float32)
        few = 0.8 * few.mean(axis=2, keepdims=True) + 0.2 * few
        for channel in range(3):
            enlarged = Image.fromarray(few[:, :, channel]).resize((width, height), Image.BICUBIC)
            photo[:, :, channel] += np.asarray(enlarged) * (120 * 0.62 ** (octave - 3))
    Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).save("photo.jpg", quality=90, subsampling="4:2:0")
    read, to = "cv2.imread('photo.jpg')", "out.jpg[Q=95,subsample-mode=on]"
    draft = "from PIL import Image; i = Image.open('photo.jpg'); i.draft('RGB', (200, 200)); i.resize((200, 200)).save('out.jpg', quality=95)"
    for name, opencv, vips in [
        ("gaussian:1", f"cv2.GaussianBlur({read}, (0, 0), 1)", ["vips", "gaussblur", "photo.jpg", to, "1"]),
        ("gaussian:10", f"cv2.GaussianBlur({read}, (0, 0), 10)", ["vips", "gaussblur", "photo.jpg", to, "10"]),
        ("rotate:90", f"cv2.rotate({read}, cv2.ROTATE_90_CLOCKWISE)", ["vips", "rot", "photo.jpg", to, "d90"]),
        ("resize:200x200", f"cv2.resize({read}, (200, 200), interpolation=cv2.INTER_AREA)", ["vipsthumbnail", "photo.jpg", "--size", "200x200!", "-o", "out.jpg[Q=95]"]),
    ]:
        contestants = [("parfork", [parfork, "image", "photo.jpg", "--filter", name, "-o", "out.jpg", "-q"], {})]
        if has("cv2"):
            contestants.append(("OpenCV, a script; at most 1.0 x", [sys.executable, "-c", f"import cv2; cv2.imwrite('out.jpg', {opencv})"], {}))
        if shutil.which("vips"):
            contestants.append(("vips; at most 1.15 x", vips, {}))
        if name.startswith("resize"):
            contestants.append(("Pillow's draft, a script", [sys.executable, "-c", draft], {}))
        contest(f"{name} of a JPEG of 6000x4000 RGB, to JPEG", "out.jpg", contestants, rounds)


def matrices():
    import numpy as np

    rng = np.random.default_rng(1)
    for name in ["a.npy", "b.npy"]:
        np.save(name, rng.standard_normal((4096, 4096), dtype=np.float32))


# What a program of NumPy's makes of an array, slice by slice: by our workers, by a pool's, by one process.
OURS = """import parfork
a, c = parfork.inputs['big'], parfork.outputs['out']
for part in parfork.slices():
    c[part] = a[part] * 2
"""
POOL = """import sys, numpy as np, multiprocessing
def work(first):
    a, c = np.load('big.npy', mmap_mode='r'), np.load('out.npy', mmap_mode='r+')
    c[first:first + 256] = a[first:first + 256] * 2
if __name__ == '__main__':
    a = np.load('big.npy', mmap_mode='r')
    np.lib.format.open_memmap('out.npy', 'w+', a.dtype, a.shape)
    if sys.argv[1] == 'pool':
        with multiprocessing.Pool(2) as pool:
            pool.map(work, range(0, len(a), 256))
    else:
        for first in range(0, len(a), 256):
            work(first)
"""


def programs():
    if not has("numpy"):
        print("no programs without NumPy")
        return
    import numpy as np

    np.save("big.npy", np.random.default_rng(2).standard_normal((65536, 1024)))
    for name, text in [("ours.py", OURS), ("pool.py", POOL), ("parfork.py", subprocess.run([parfork, "exec", "--client", "python"], check=True, capture_output=True, text=True).stdout)]:
        with open(name, "w") as file:
            file.write(text)
    exec_ = [parfork, "exec", "--in", "big.npy", "--out", "out.npy", "-n", "2", "-q", "--", sys.executable, "ours.py"]
    contestants = [("parfork exec", exec_, {}), ("Pool(2) on memory maps; at most 1.0 x", [sys.executable, "pool.py", "pool"], {}), ("one process on memory maps", [sys.executable, "pool.py", "one"], {})]
    contest("512 MiB of f64 doubled by NumPy, .npy to .npy", "out.npy", contestants, rounds)
    os.remove("big.npy")


def imagemagick():
    for name in ["magick", "convert-im6.q16", "convert"]:
        said = subprocess.run([name, "-version"], capture_output=True, text=True).stdout if shutil.which(name) else ""
        if "ImageMagick" in said:
            return name
    return None


def run(command, output, environment):
    """Seconds of one run, from the start of the process to its end; the output is not there before."""
    if output and os.path.exists(output):
        os.remove(output)
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    return time.perf_counter() - began


def contest(title, output, contestants, rounds, same=None):
    """Runs all in turns. The first is ours; each is a name, a command and its environment."""
    seconds, sizes = {name: [] for name, *_ in contestants}, {}
    for turn in range(rounds + 1):
        for name, command, environment in contestants:
            # A contestant that takes as long as all others together need not be known to a percent.
            if turn > 2 and statistics.median(seconds[name]) > 3:
                continue
            taken = run(command, output, environment)
            if turn == 0:
                sizes[name] = os.path.getsize(output) if output else 0
                if same:
                    same(name)
            else:
                seconds[name].append(taken)
    ours = contestants[0][0]
    print(f"\n{title}\n| | ms, median (min..max) | output, MB | time / ours, medians | minima |\n|---|---:|---:|---:|---:|")
    for name, *_ in contestants:
        mine = [1e3 * second for second in seconds[name]]
        ratios = [f(seconds[name]) / f(seconds[ours]) for f in (statistics.median, min)]
        size = f"{sizes[name] / 1e6:.1f}" if output else "-"
        print(f"| {name} | {statistics.median(mine):.1f} ({min(mine):.1f}..{max(mine):.1f}) | {size} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


def pictures():
    if not (has("skimage") and has("PIL")):
        print("no picture without scikit-image and Pillow")
        return
    photograph()
    contestants = [("parfork", [parfork, "image", "big.png", "--filter", "gaussian:3", "-o", "out.png", "-q"], {})]
    if shutil.which("vips"):
        contestants.append(("vips", ["vips", "gaussblur", "big.png", "out.png", "3"], {}))
    if has("pyvips"):
        contestants.append(("pyvips, a script", [sys.executable, "-c", PYVIPS], {}))
    if has("cv2"):
        contestants.append(("OpenCV, a script", [sys.executable, "-c", OPENCV], {}))
    if magick := imagemagick():
        contestants.append(("ImageMagick", [magick, "big.png", "-blur", "0x3", "out.png"], {}))
    first = []

    def same(name):
        import numpy as np
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = None
        picture = np.asarray(Image.open("out.png")).astype(np.int16)
        first.append(picture)
        # Weights are rounded and cut off in as many ways as there are libraries: libvips does where they fall below a fifth.
        differs = np.abs(picture - first[0])
        print(f"{name}: differs from ours by {differs.mean():.2f} levels, {differs.max()} at most")
        assert differs.mean() < 2, f"{name} computes something else"

    contest("gaussian:3 of a PNG of 4096x4096 RGB, to PNG", "out.png", contestants, rounds, same)


def products():
    if not has("numpy"):
        print("no product without NumPy")
        return
    matrices()
    contestants = [
        ("parfork", [parfork, "matmul", "a.npy", "b.npy", "-o", "c.npy", "-q"], {}),
        ("NumPy, a script", [sys.executable, "-c", NUMPY], {}),
        ("NumPy, OPENBLAS_CORETYPE=SkylakeX", [sys.executable, "-c", NUMPY], {"OPENBLAS_CORETYPE": "SkylakeX"}),
    ]
    contest("product of two .npy of 4096x4096 f32, to .npy", "c.npy", contestants, rounds)


def starts():
    contestants = [("parfork --version", [parfork, "--version"], {}), ("true", ["true"], {})]
    contest("start of a command", None, contestants, 20 * rounds)


SECTIONS = {"pictures": pictures, "jpegs": jpegs, "products": products, "programs": programs, "starts": starts}

for name in sys.argv[4:] or SECTIONS:
    SECTIONS[name]()
