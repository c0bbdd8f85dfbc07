"""Runs parfork on files written by NumPy and Pillow and compares with NumPy, OpenCV and Pillow.

Usage: references.py PARFORK FOLDER
"""

import itertools
import math
import os
import subprocess
import sys

import cv2
import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

parfork, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
os.chdir(folder)
failures = 0


def run(*args, code=0):
    done = subprocess.run([parfork, *map(str, args)], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, f"parfork {args}: {done.returncode}\n{done.stderr}"
    return done.stdout


def check(what, passed, detail=""):
    global failures
    failures += not passed
    print(f"{'ok    ' if passed else 'FAILED'} {what} {detail}")


def products():
    rng = np.random.default_rng(1)
    for dtype, (m, k, n), orders in [
        (np.float32, (2048, 2048, 2048), "CC"),
        (np.float64, (2048, 2048, 2048), "CC"),
        (np.float64, (301, 1003, 77), "FC"),
        (np.float32, (1, 500, 999), "CF"),
        (np.float64, (640, 1, 480), "FF"),
        (np.float64, (5, 0, 7), "CC"),
        (np.float32, (0, 4, 7), "CC"),
    ]:
        a = np.array(rng.standard_normal((m, k)), dtype=dtype, order=orders[0])
        b = np.array(rng.standard_normal((k, n)), dtype=dtype, order=orders[1])
        np.save("a.npy", a)
        np.save("b.npy", b)
        run("matmul", "a.npy", "b.npy", "-o", "c.npy", "-n", 3, "-q", "--verify")
        c, exact = np.load("c.npy"), a.astype(np.float64) @ b.astype(np.float64)
        # |error| <= k eps |A||B| elementwise for any order of summation (Higham 2002, 3.5).
        bound = max(k, 1) * np.finfo(dtype).eps * (np.abs(a).astype(np.float64) @ np.abs(b)) + 1e-300
        worst = float((np.abs(c - exact) / bound).max()) if c.size else 0.0
        check(f"matmul {dtype.__name__} {m}x{k}x{n} {orders}", c.dtype == dtype and c.shape == (m, n) and worst <= 1, f"worst {worst:.2g} of bound")


def reductions():
    rng = np.random.default_rng(2)
    kinds = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
    for kind, order in itertools.product(kinds, "<>"):
        dtype = np.dtype(order + kind)
        if dtype.kind == "f":
            data = rng.standard_normal((300, 1001)).astype(dtype)
        else:
            info = np.iinfo(dtype)
            data = rng.integers(info.min, info.max, (300, 1001), dtype=np.dtype(kind), endpoint=True).astype(dtype)
        np.save("x.npy", data)
        exact = math.fsum(map(float, data.ravel())) if dtype.kind == "f" else sum(map(int, data.ravel()))
        got = {}
        for op in ["sum", "mean", "min", "max", "norm"]:
            answers = {
                run(op, "x.npy", "-n", n, "--schedule", s, "--split", p, "-q")
                for n, s, p in [(1, "static", "rows"), (3, "dynamic", "cols"), (5, "guided", "tiles=1x3")]
            }
            check(f"{op} {dtype.str}: same bits", len(answers) == 1, str(answers if len(answers) > 1 else ""))
            got[op] = answers.pop().strip()
        plain = np.abs(data.astype(np.float64)).sum()
        check(f"sum {dtype.str}", abs(float(got["sum"]) - exact) <= abs(float(data.astype(np.float64).sum()) - float(exact)) + 1e-16 * plain if dtype.kind == "f" else int(got["sum"]) == exact, got["sum"])
        check(f"mean {dtype.str}", math.isclose(float(got["mean"]), float(exact) / data.size, rel_tol=1e-12, abs_tol=1e-300), got["mean"])
        check(f"min, max {dtype.str}", float(got["min"]) == float(data.min()) and float(got["max"]) == float(data.max()))
        check(f"norm {dtype.str}", math.isclose(float(got["norm"]), np.linalg.norm(data.astype(np.float64)), rel_tol=1e-12), got["norm"])


BORDERS = {"reflect101": cv2.BORDER_REFLECT_101, "replicate": cv2.BORDER_REPLICATE, "constant:40": cv2.BORDER_CONSTANT, "wrap": cv2.BORDER_WRAP}


def bordered(image, radius, border):
    value = [40 * (257 if image.dtype == np.uint16 else 1)] * 4
    return cv2.copyMakeBorder(image, radius, radius, radius, radius, BORDERS[border], value=value)


def inside(image, radius):
    return image[radius : image.shape[0] - radius, radius : image.shape[1] - radius]


def filtered(image, name, border):
    """The OpenCV result, borders made by hand so that all four kinds work for every filter."""
    top = 255 if image.dtype == np.uint8 else 65535
    filter, _, parameter = name.partition(":")
    if filter == "gaussian":
        sigma = float(parameter)
        radius = math.ceil(3 * sigma)
        return inside(cv2.GaussianBlur(bordered(image, radius, border), (2 * radius + 1,) * 2, sigma), radius)
    if filter == "box":
        radius = int(parameter)
        return inside(cv2.blur(bordered(image, radius, border), (2 * radius + 1,) * 2), radius)
    if filter == "sharpen":
        return inside(cv2.filter2D(bordered(image, 1, border), -1, np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)), 1)
    if filter in ("sobel", "gray"):
        gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if filter == "gray":
            return gray
        gray = bordered(gray, 1, border)
        x, y = (cv2.Sobel(gray, cv2.CV_64F, dx, 1 - dx) for dx in (1, 0))
        return inside(np.clip(np.sqrt(x * x + y * y), 0, top), 1)
    if filter == "invert":
        return top - image
    if filter == "brightness":
        return np.clip(image.astype(float) + float(parameter) * top / 255, 0, top)
    if filter == "contrast":
        return np.clip((image.astype(float) - top / 2) * float(parameter) + top / 2, 0, top)
    if filter == "gamma":
        return top * (image / top) ** (1 / float(parameter))
    if filter == "threshold":
        return np.where(image >= float(parameter) * top / 255, top, 0)
    if filter == "flip":
        return cv2.flip(image, 1 if parameter == "horizontal" else 0)
    if filter == "rotate":
        return np.rot90(image, -int(parameter) // 90)
    raise ValueError(name)


FILTERS = ["gaussian:3", "gaussian:0.5", "box:4", "sharpen", "sobel", "gray", "invert", "brightness:30", "contrast:1.5", "gamma:2.2", "threshold:100", "flip", "flip:horizontal", "rotate:90", "rotate:180", "rotate:270"]


def differ(got, want):
    return float(np.abs(got.astype(float) - np.asarray(want, float)).max()) if got.shape == want.shape else math.inf


def pictures():
    photo = load_sample_image("china.jpg")
    deep = photo.astype(np.uint16) * 257 + 100
    deep = np.minimum(deep, 65535).astype(np.uint16)
    for image, levels, kind in [(photo, 1, "8-bit"), (deep, 257, "16-bit"), (photo[:, :, 0], 1, "8-bit gray"), (photo[:61, :47], 1, "8-bit small")]:
        cv2.imwrite("in.png", image if image.ndim == 2 else image[:, :, ::-1])
        for name, border in itertools.product(FILTERS, BORDERS):
            if border != "reflect101" and name.split(":")[0] not in ("gaussian", "box", "sharpen", "sobel"):
                continue
            run("image", "in.png", "-o", "out.png", "--filter", name, "--border", border, "-n", 3, "-q")
            got = cv2.imread("out.png", cv2.IMREAD_UNCHANGED)
            got = got if got.ndim == 2 else got[:, :, ::-1]
            worst = differ(got, filtered(np.ascontiguousarray(image), name, border))
            check(f"{kind} {name} {border}", worst <= levels, f"differs by at most {worst:g}")
    for size in [(320, 213), (1000, 900), (7, 5)]:
        for mode in ["RGB", "L", "LA", "RGBA"]:
            image = Image.fromarray(photo).convert(mode)
            if mode in ("LA", "RGBA"):
                image.putalpha(ImageOps.mirror(Image.fromarray(photo).convert("L")))
            image.save("in.png")
            run("image", "in.png", "-o", "out.png", "--filter", "resize:%dx%d" % size, "-n", 3, "-q")
            got, want = Image.open("out.png"), image.resize(size, Image.LANCZOS)
            worst = differ(np.array(got), np.array(want))
            # Colours under nearly no alpha mean nothing; compare what is seen.
            if mode in ("LA", "RGBA"):
                seen = [np.array(i.convert("RGBA"), float) for i in (got, want)]
                worst = max(np.abs(a[..., :3] * a[..., 3:] / 255 - b[..., :3] * b[..., 3:] / 255).max() for a, b in itertools.combinations(seen, 2))
            check(f"resize {mode} to {size}", got.mode == mode and worst <= 1, f"differs by at most {worst:g}")
    # 12 megapixels through a JPEG, as from a camera.
    Image.fromarray(photo).resize((4000, 3000), Image.BICUBIC).save("camera.jpg", quality=92)
    run("image", "camera.jpg", "-o", "out.png", "--filter", "gaussian:3,sobel", "-n", 4, "-q", "--verify")
    source = np.array(Image.open("camera.jpg"))
    run("image", "camera.jpg", "-o", "same.png", "--filter", "invert", "-n", 4, "-q")
    worst = differ(255 - np.array(Image.open("same.png")), source)
    # JPEG decoders may round, and interpolate the colours, each in its way.
    check("12-megapixel JPEG decoded", worst <= 8, f"decoders differ by at most {worst:g}")
    ours = 255 - np.array(Image.open("same.png"))
    run("image", "camera.jpg", "-o", "soft.png", "--filter", "gaussian:3", "-n", 4, "-q", "--verify")
    worst = differ(np.array(Image.open("soft.png")), filtered(ours, "gaussian:3", "reflect101"))
    check("12-megapixel JPEG gaussian:3", worst <= 1, f"differs by at most {worst:g}")
    soft = np.array(Image.open("soft.png"))
    worst = differ(np.array(Image.open("out.png")), filtered(soft, "sobel", "reflect101"))
    check("12-megapixel JPEG gaussian:3,sobel", worst <= 1, f"differs by at most {worst:g}")


def codings():
    """What we write as PNG, read by libpng in OpenCV and by Pillow."""
    photo = load_sample_image("china.jpg")
    alpha = photo[:, ::-1, 1]
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, photo.shape, dtype=np.uint8)
    flat = np.full((900, 1300, 3), 7, np.uint8)
    for name, rgb in [("photo", photo), ("noise", noise), ("flat", flat), ("one row", photo[:1]), ("one column", photo[:, :1]), ("one pixel", photo[:1, :1])]:
        with_alpha = np.dstack([rgb, np.resize(alpha, rgb.shape[:2])])
        for kind, image in [("gray", rgb[:, :, 0]), ("RGB", rgb), ("RGBA", with_alpha)]:
            for deep in (False, True):
                image = image.astype(np.uint16) * 251 + 3 if deep else image
                swapped = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
                cv2.imwrite("in.png", swapped)
                run("image", "in.png", "-o", "out.png", "--filter", "flip,flip", "-n", 2, "-q")
                same = np.array_equal(cv2.imread("out.png", cv2.IMREAD_UNCHANGED), swapped)
                if not deep:
                    same = same and np.array_equal(np.array(Image.open("out.png")), image)
                check(f"PNG of {name}, {kind}, {'16' if deep else '8'} bits, written and read", same)
        gray_alpha = Image.fromarray(with_alpha).convert("LA")
        gray_alpha.save("in.png")
        run("image", "in.png", "-o", "out.png", "--filter", "flip,flip", "-n", 2, "-q")
        check(f"PNG of {name}, gray with alpha, written and read", np.array_equal(np.array(Image.open("out.png")), np.array(gray_alpha)))


def jpegs():
    """What we write as JPEG: the tables and the sampling of Pillow's at the same settings, and as near to the picture, read by two decoders."""
    photo = load_sample_image("china.jpg")[:427, :635]
    Image.fromarray(photo).save("in.png")
    for (sampling, factors), quality in itertools.product([("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2))], [1, 30, 75, 95, 100]):
        settings = [] if (quality, sampling) == (95, "4:2:0") else ["--quality", quality, "--sampling", sampling]
        run("image", "in.png", "-o", "out.jpg", "--filter", "flip,flip", "-n", 2, "-q", *settings)
        Image.fromarray(photo).save("pillow.jpg", quality=quality, subsampling=sampling)
        ours, theirs = Image.open("out.jpg"), Image.open("pillow.jpg")
        same = ours.quantization == theirs.quantization and all(one[1:] == other[1:] for one, other in zip(ours.layer, theirs.layer)) and ours.layer[0][1:3] == factors
        off = [np.sqrt(np.mean((np.array(image, float) - photo) ** 2)) for image in (ours, theirs)]
        opencv = cv2.imread("out.jpg")[:, :, ::-1]
        near = off[0] < 1.02 * off[1] + 0.1 and differ(opencv, np.array(ours)) <= 4
        sizes = [os.path.getsize(name) for name in ("out.jpg", "pillow.jpg")]
        check(f"JPEG {quality} {sampling}", same and near and sizes[0] < 1.05 * sizes[1] + 1000, f"root of mean square {off[0]:.2f}, Pillow {off[1]:.2f}; bytes {sizes}")
    Image.fromarray(photo[:, :, 1]).save("in.png")
    run("image", "in.png", "-o", "out.jpg", "--filter", "flip,flip", "-n", 2, "-q")
    check("JPEG gray", Image.open("out.jpg").mode == "L" and differ(np.array(Image.open("out.jpg")), photo[:, :, 1]) <= 16)


products()
reductions()
pictures()
codings()
jpegs()
print(f"{'references agree' if failures == 0 else f'{failures} comparisons FAILED'}")
sys.exit(failures > 0)
