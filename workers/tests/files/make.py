#!/usr/bin/env python3
"""Makes the pictures beside it, each with what it holds: NAME.want.npy from the samples that were put in, or NAME.refused.txt with a
part of what is said of it. Where Pillow, OpenCV or tifffile read the file, they have to agree here.
Needs numpy, pillow, opencv-python-headless, tifffile and imagecodecs (made with 2.4, 12.2, 4.13, 2026.3 and 2026.3)."""

import io
import os
import struct
import subprocess
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

os.chdir(os.path.dirname(os.path.abspath(__file__)))
random = np.random.default_rng(15)
HEIGHT, WIDTH = 11, 21
rgb = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
gray = random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
alpha = random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
alpha[0, :3] = 0, 255, 1
y, x = np.mgrid[:HEIGHT, :WIDTH]
smooth = np.stack([x * 12, y * 20, 128 + 60 * np.sin(x / 5)], -1).astype(np.uint8)
deep = rgb.astype(np.uint16) * 256 + random.integers(0, 256, rgb.shape).astype(np.uint16)


def by_pillow(path):
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image)
        if "transparency" in image.info:
            image = image.convert("RGBA" if image.mode in ("RGB", "P") else "LA")
        elif image.mode in ("1", "P"):
            image = image.convert("L" if image.mode == "1" else "RGB")
        return np.array(image)


def by_opencv(path):
    seen = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    return seen[..., ::-1] if seen.ndim == 3 else seen


def case(name, data, want, by=None, tolerance=0):
    with open(name, "wb") as file:
        file.write(data)
    np.save(name + ".want.npy", np.ascontiguousarray(want))
    if by:
        seen = by(name)
        assert seen.shape == want.shape, (name, seen.shape, want.shape)
        worst = np.abs(seen.astype(int) - want.astype(int)).max()
        assert worst <= tolerance, (name, worst)


def refused(name, data, why):
    with open(name, "wb") as file:
        file.write(data)
    with open(name + ".refused.txt", "w") as file:
        file.write(why)


def tiff(array, **how):
    data = io.BytesIO()
    tifffile.imwrite(data, array, metadata=None, software=False, **how)
    return data.getvalue()


def by_hand(tags, data, order="<"):
    """A TIFF of one strip; tags are (number, list of shorts)."""
    tags = sorted(tags + [(256, [WIDTH]), (257, [HEIGHT]), (278, [HEIGHT])])
    more, at = b"", 8 + 2 + 12 * (len(tags) + 2) + 4
    entries = []
    for number, values in tags:
        packed = struct.pack(f"{order}{len(values)}H", *values)
        if len(packed) > 4:
            packed, more = struct.pack(order + "I", at + len(more)), more + packed
        entries.append((number, struct.pack(order + "HHI", number, 3, len(values)) + packed.ljust(4, b"\0")))
    for number, value in (273, at + len(more)), (279, len(data)):
        entries.append((number, struct.pack(order + "HHII", number, 4, 1, value)))
    directory = struct.pack(order + "H", len(entries)) + b"".join(entry for _, entry in sorted(entries)) + bytes(4)
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8) + directory + more + data


def packed(numbers, bits):
    """Rows of numbers of so many bits, each row from a byte on."""
    unpacked = (numbers[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(unpacked.reshape(len(numbers), -1).astype(np.uint8), axis=1).tobytes()


def reversed_bits(data):
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)


def straight(multiplied, by, most):
    divided = np.rint(multiplied.astype(float) * most / np.maximum(by, 1)[..., None])
    return np.where(by[..., None] == 0, multiplied, np.clip(divided, 0, most)).astype(multiplied.dtype)


# TIFF: where the samples lie
planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
separate = dict(photometric="rgb", planarconfig="separate")
case("planar-strips.tif", tiff(planes, rowsperstrip=4, **separate), rgb, by_pillow)
case("planar-tiles-deflate.tif", tiff(planes, tile=(16, 16), compression="zlib", predictor=True, **separate), rgb)
case("planar-tiles-16.tif", tiff(deep.transpose(2, 0, 1).copy(), tile=(16, 16), byteorder=">", **separate), deep)
case("tiles-lzw.tif", tiff(deep, photometric="rgb", tile=(16, 16), compression="lzw", predictor=True), deep, tifffile.imread)
narrow = np.concatenate([gray, gray])[:18, :18].copy()
case("tiles-lzw-gray.tif", tiff(narrow, tile=(16, 16), compression="lzw"), narrow, tifffile.imread)
case("big-planar-tiles.tif", tiff(planes, bigtiff=True, byteorder=">", tile=(16, 16), **separate), rgb)
case("big-packbits.tif", tiff(gray, bigtiff=True, compression="packbits", rowsperstrip=3), gray, by_pillow)
# TIFF: what they mean
four = random.integers(0, 16, (HEIGHT, WIDTH))
colours = random.integers(0, 256, (16, 3), dtype=np.uint8)
palette = [(258, [4]), (259, [1]), (262, [3]), (277, [1]), (320, list((colours.T.astype(int) * 257).ravel()))]
case("palette-4.tif", by_hand(palette, packed(four, 4)), colours[four], by_pillow)
bytes_for_words = palette[:4] + [(320, list(colours.T.astype(int).ravel()))]
case("palette-of-bytes.tif", by_hand(bytes_for_words, packed(four, 4), ">"), colours[four])
few = [(259, [1]), (277, [1])]
case("gray-4.tif", by_hand(few + [(258, [4]), (262, [1])], packed(four, 4)), (four * 17).astype(np.uint8), by_pillow)
case("gray-2-inverted.tif", by_hand(few + [(258, [2]), (262, [0])], packed(four % 4, 2)), ((3 - four % 4) * 85).astype(np.uint8), by_pillow)
case("bits-inverted.tif", by_hand(few + [(258, [1]), (262, [0])], packed(four % 2, 1)), ((1 - four % 2) * 255).astype(np.uint8), by_pillow)
case("gray-16-inverted.tif", tiff(deep[..., 0].copy(), photometric="miniswhite"), 65535 - deep[..., 0])
many = (rgb.astype(int) * alpha[..., None] / 255).round().astype(np.uint8)
case("multiplied-planar.tif", tiff(np.dstack([many, alpha]).transpose(2, 0, 1).copy(), extrasamples=["assocalpha"], **separate), np.dstack([straight(many, alpha, 255), alpha]))
wide = alpha.astype(np.uint16) * 257
many = (deep.astype(float) * wide[..., None] / 65535).round().astype(np.uint16)
case("multiplied-16.tif", tiff(np.dstack([many, wide]), photometric="rgb", extrasamples=["assocalpha"]), np.dstack([straight(many, wide, 65535), wide]))
many = (gray.astype(float) * alpha / 255).round().astype(np.uint8)
case("multiplied-gray.tif", tiff(np.dstack([many, alpha]), photometric="minisblack", extrasamples=["assocalpha"]), np.dstack([straight(many[..., None], alpha, 255), alpha]))
case("alpha.tif", tiff(np.dstack([rgb, alpha]), photometric="rgb", extrasamples=["unassalpha"]), np.dstack([rgb, alpha]), by_pillow)
case("more-channels.tif", tiff(np.dstack([rgb, gray, gray]), photometric="rgb", extrasamples=["unspecified"] * 2), rgb)
inks = np.dstack([rgb, alpha])
paper = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:].astype(float)) / 255
case("inks.tif", tiff(inks, photometric="separated"), np.rint(paper).astype(np.uint8), lambda path: np.array(Image.open(path).convert("RGB")), 1)
jpeg = io.BytesIO()
Image.fromarray(smooth).save(jpeg, "TIFF", compression="jpeg", quality=98)
case("luma-jpeg.tif", jpeg.getvalue(), smooth, by_pillow, 12)
# TIFF: bits of each byte the other way round
turned = [(258, [16]), (262, [1]), (266, [2])]
case("turned-16.tif", by_hand(few + turned, reversed_bits(deep[..., 0].astype("<u2").tobytes())), deep[..., 0])
case("turned-bits.tif", by_hand(few + [(258, [1]), (262, [1]), (266, [2])], reversed_bits(packed(four % 2, 1))), (four % 2 * 255).astype(np.uint8), by_pillow)
case("turned-deflate.tif", by_hand([(277, [1]), (258, [8]), (262, [1]), (266, [2]), (259, [8])], reversed_bits(zlib.compress(gray.tobytes()))), gray, by_pillow)
# TIFF: what is refused
refused("float.tif", tiff(gray.astype(np.float32)), "floating-point samples")
refused("half.tif", tiff(gray.astype(np.float16)), "floating-point samples")
refused("signed.tif", tiff(gray.astype(np.int16)), "samples with a sign")
refused("words-32.tif", tiff(gray.astype(np.uint32)), "32 bits a sample")
refused("lab.tif", tiff(rgb, photometric="cielab"), "L*a*b* colours")
refused("luma.tif", tiff(rgb, photometric="ycbcr", subsampling=(1, 1)), "YCbCr colours that are not packed as JPEG")
refused("gray-and-more.tif", tiff(np.dstack([gray] * 4), photometric="minisblack", extrasamples=["unspecified"] * 3), "gray with 3 more channels")


# JPEG: a scan for each component. Such a scan is coded as a gray picture is, and so Pillow codes it.
def pieces(data):
    """The segments by their markers, and the coded data."""
    at, found = 2, {}
    while True:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        found.setdefault(marker, []).append(data[at : at + 2 + length])
        at += 2 + length
        if marker == 0xDA:
            return found, data[at:-2]


def gray_jpeg(plane, **how):
    data = io.BytesIO()
    Image.fromarray(plane).save(data, "JPEG", quality=95, **how)
    return data.getvalue()


def in_scans(picture, across, down, ids=b"\x01\x02\x03", head=b"", luma=True, **how):
    parts = np.array(Image.fromarray(picture).convert("YCbCr")) if luma else picture
    parts = [parts[..., channel] for channel in range(3)]
    height, width = parts[0].shape
    spread = [np.pad(part, ((0, -height % down), (0, -width % across)), "edge").astype(float) for part in parts[1:]]
    means = [part.reshape(part.shape[0] // down, down, -1, across).mean((1, 3)).round().astype(np.uint8) for part in spread]
    coded = [pieces(gray_jpeg(part, **how)) for part in [parts[0], *means]]
    frame = struct.pack(">BHHB", 8, height, width, 3)
    frame += bytes([ids[0], across << 4 | down, 0, ids[1], 0x11, 0, ids[2], 0x11, 0])
    data = b"\xff\xd8" + head + b"".join(coded[0][0][0xDB])
    data += b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame
    for name, (segments, scan) in zip(ids, coded):
        data += b"".join(segments[0xC4]) + b"".join(segments.get(0xDD, []))
        data += b"\xff\xda\0\x08\x01" + bytes([name, 0, 0, 63, 0]) + scan
    return data + b"\xff\xd9"


def seen(data):
    return np.array(Image.open(io.BytesIO(data)))


large = np.array(Image.fromarray(smooth).resize((59, 45), Image.BICUBIC))
jfif = b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
for name, across, down in ("444", 1, 1), ("422", 2, 1), ("440", 1, 2), ("420", 2, 2), ("411", 4, 1), ("441", 1, 4):
    data = in_scans(large, across, down, head=jfif)
    case(f"scans-{name}.jpg", data, seen(data), by_opencv, 3)
data = in_scans(large, 2, 2, head=jfif, restart_marker_blocks=3)
case("scans-restart.jpg", data, seen(data), by_opencv, 3)
data = in_scans(large, 2, 2, optimize=True)
case("scans-plain.jpg", data, seen(data), by_opencv, 3)
data = in_scans(large, 1, 1, ids=b"RGB", luma=False)
case("scans-rgb.jpg", data, seen(data), by_opencv, 3)
# JPEG: without the marker that ends it
for name, how in ("gray", {}), ("progressive", dict(progressive=True)), ("restart", dict(restart_marker_blocks=2)):
    whole = io.BytesIO()
    source = large[..., 0].copy() if name == "gray" else large
    Image.fromarray(source).save(whole, "JPEG", quality=90, **how)
    whole = whole.getvalue()
    case(f"unended-{name}.jpg", whole[:-2], seen(whole))
    refused(f"cut-{name}.jpg", whole[: -2 - len(pieces(whole)[1]) // 8], "ends before its picture does")
# JPEG that is coded as nearly none is: by libjpeg-turbo's cjpeg.
Image.fromarray(smooth).save("smooth.ppm")
for name, how, why in (
    ("wide-colours", ["-sample", "1x1,2x2,2x2"], "components of 1x1, 2x2, 2x2 samples"),
    ("thirds", ["-sample", "3x1"], "components of 3x1, 1x1, 1x1 samples"),
    ("arithmetic", ["-arithmetic"], "arithmetic coding"),
):
    refused(f"{name}.jpg", subprocess.run(["cjpeg", "-quality", "90", *how, "smooth.ppm"], check=True, capture_output=True).stdout, why)
os.remove("smooth.ppm")


# PNG
def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows, width, depth, kind, before=b"", behind=b""):
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + data + behind + chunk(b"IEND", b"")


def exif(orientation):
    head, order = (b"MM\0*", ">") if orientation % 2 else (b"II*\0", "<")
    return chunk(b"eXIf", head + struct.pack(order + "IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0))


def rows(numbers, bits):
    return [packed(row[None], bits) for row in numbers]


def seen_through(numbers, one, most):
    return np.where(numbers == one, 0, most).astype(np.uint8)


for bits in 1, 2, 4, 8:
    numbers = gray >> 8 - bits
    one = int(numbers[3, 4])
    scaled = (numbers.astype(int) * (255 // (2**bits - 1))).astype(np.uint8)
    want = np.dstack([scaled, seen_through(numbers, one, 255)])
    case(f"one-clear-{bits}.png", png(rows(numbers, bits), WIDTH, bits, 0, chunk(b"tRNS", struct.pack(">H", one))), want, by_pillow if bits == 8 else None)
one = deep[2, 2]
want = np.dstack([deep, np.where((deep == one).all(-1), 0, 65535).astype(np.uint16)])
case("one-clear-16.png", png([row.astype(">u2").tobytes() for row in deep], WIDTH, 16, 2, chunk(b"tRNS", one.astype(">u2").tobytes())), want)
clear = random.integers(0, 256, 9, dtype=np.uint8)
want = np.dstack([colours[four], np.append(clear, [255] * 7).astype(np.uint8)[four]])
case("palette-clear.png", png(rows(four, 4), WIDTH, 4, 3, chunk(b"PLTE", colours.tobytes()) + chunk(b"tRNS", clear.tobytes())), want, by_pillow)
plain = [row.tobytes() for row in rgb]
upright = {2: rgb[:, ::-1], 3: rgb[::-1, ::-1], 4: rgb[::-1], 5: rgb.transpose(1, 0, 2), 6: np.rot90(rgb, -1), 8: np.rot90(rgb)}
upright[7] = rgb[::-1, ::-1].transpose(1, 0, 2)
for number, want in upright.items():
    case(f"turned-{number}.png", png(plain, WIDTH, 8, 2, exif(number)), want, by_pillow)
case("turned-behind.png", png(plain, WIDTH, 8, 2, b"", exif(6)), upright[6], by_pillow)
case("turned-clear.png", png(plain, WIDTH, 8, 2, exif(8) + chunk(b"tRNS", rgb[1, 1].astype(">u2").tobytes())), np.rot90(np.dstack([rgb, np.where((rgb == rgb[1, 1]).all(-1), 0, 255).astype(np.uint8)])), by_pillow)

# PNM: comments among the samples
case("comments-bits.pbm", b"P1 # of bits\n3 2\n1 0 # two of three\n1\n#\n0 1 0", np.array([[0, 255, 0], [255, 0, 255]], np.uint8), by_opencv)
case("comments.ppm", b"P3\n# RGB\n2 1 # size\n255\n1 2#\n3 # next\n4 5 6\n# end", np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), by_opencv)

# What stands beside a picture: EXIF that says it lies on its side, a profile of colours, and XMP that says so again
xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
noted = Image.Exif()
noted[274], noted[271], noted[306] = 6, "Maker", "2026:01:02 03:04:05"
noted.get_ifd(0x8769).update({0xA002: WIDTH, 0xA003: HEIGHT, 0x829A: 1 / 250})
noted.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 14.5)})
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
text = PngImagePlugin.PngInfo()
text.add_itxt("XML:com.adobe.xmp", xmp.decode())
Image.fromarray(smooth).save("noted.jpg", exif=noted, icc_profile=profile, xmp=xmp)
Image.fromarray(smooth).save("noted.png", exif=noted, icc_profile=profile, pnginfo=text)
tags = {"compression": None, "photometric": "rgb", "metadata": None, "software": False}
beside = [(274, 3, 1, 6, True), (271, 2, 0, "Maker", True), (306, 2, 0, "2026:01:02 03:04:05", True)]
beside += [(700, 1, len(xmp), xmp, True), (34675, 7, len(profile), profile, True)]
tifffile.imwrite("noted.tif", smooth, byteorder=">", extratags=beside, **tags)
