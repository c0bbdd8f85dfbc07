#!/usr/bin/env python3
"""Makes odd.*.jpg: JPEGs whose coded data are a usual picture's, and whose segments are not; as make.py does. What a file holds is what Pillow
reads in the usual one; where Pillow reads the odd one it has to agree here. Needs numpy and pillow (made with 2.4 and 13.0)."""

import io
import os

import numpy as np
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
y, x = np.mgrid[:21, :35]
smooth = np.stack([x * 7, y * 11, 128 + 60 * np.sin(x / 5)], -1).astype(np.uint8)
SOF, HUFFMAN, QUANTIZATION, SCAN, LINES, INTERVAL, ADOBE, JFIF = 0xC0, 0xC4, 0xDB, 0xDA, 0xDC, 0xDD, 0xEE, 0xE0


def jpeg(picture, **how):
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=90, **how)
    return data.getvalue()


def seen(data):
    return np.array(Image.open(io.BytesIO(data)))


def segments(data):
    """Marker, body and coded data of each; the last one ends the picture."""
    at, found = 2, []
    while data[at + 1] != 0xD9:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        last = end
        while data[at + 1] == SCAN and not (data[last] == 0xFF and data[last + 1] != 0 and not 0xD0 <= data[last + 1] <= 0xD7):
            last += 1
        found.append((data[at + 1], data[at + 4 : end], data[end:last]))
        at = last
    return found


def joined(parts):
    return b"\xff\xd8" + b"".join(b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body + data for marker, body, data in parts) + b"\xff\xd9"


def without(parts, *markers):
    return [part for part in parts if part[0] not in markers]


def changed(parts, marker, body=None, data=None):
    return [(m, body(b) if body and m == marker else b, data(d) if data and m == marker else d) for m, b, d in parts]


def case(name, data, want, as_pillow=True):
    with open(f"odd.{name}.jpg", "wb") as file:
        file.write(data)
    np.save(f"odd.{name}.jpg.want.npy", want)
    if as_pillow:
        assert np.abs(seen(data).astype(int) - want).max() <= 1, name


def refused(name, data, why):
    with open(f"odd.{name}.jpg", "wb") as file:
        file.write(data)
    with open(f"odd.{name}.jpg.refused.txt", "w") as file:
        file.write(why)


usual = jpeg(smooth)
parts, want = segments(usual), seen(usual)
assert joined(parts) == usual
adobe = lambda transform: (ADOBE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]), b"")
frame = lambda parts: next(body for marker, body, _ in parts if marker == SOF)
# The lines are counted behind the first scan, and the head has another number, or none.
for name, lines in ("none", b"\0\0"), ("more", b"\0\x40"):
    counted = changed(parts, SOF, lambda body: body[:1] + lines + body[3:]) + [(LINES, frame(parts)[1:3], b"")]
    case(f"lines-{name}", joined(counted), want, False)
# A single picture of a film: no tables of codes, for everybody has them.
case("film", joined(without(parts, HUFFMAN)), want)
# What says of the colours, and says otherwise, or nothing.
case("jfif-and-adobe", joined(parts[:1] + [adobe(0)] + parts[1:]), want)
case("adobe-of-7", joined([adobe(7)] + without(parts, JFIF)), want)
case("adobe-cut", joined([(ADOBE, b"Adobe", b"")] + parts), want, False)
names = lambda parts, ids: changed(changed(parts, SOF, lambda b: b[:6] + b"".join(bytes([i]) + b[7 + 3 * n : 9 + 3 * n] for n, i in enumerate(ids))), SCAN, lambda b: b[:1] + b"".join(bytes([i]) + b[2 + 2 * n : 3 + 2 * n] for n, i in enumerate(ids)) + b[7:])
case("jfif-and-names", joined(names(parts, b"RGB")), want)
case("names", joined(names(without(parts, JFIF), bytes([9, 200, 0]))), want)
# Marks that mean nothing where they are.
case("begun-twice", b"\xff\xd8" + usual, want, False)
case("empty-segments", joined([(marker, b"", b"") for marker in (JFIF, 0xE1, 0xE2, ADOBE, 0xFE)] + parts), want)
case("filled", usual.replace(b"\xff\xda", b"\xff" * 5 + b"\xda"), want)
case("no-length", b"\xff\xd8\xff\xe5\0\0" + usual[2:], want)
thumbnail = jpeg(smooth[:8, :8])
case("thumbnails", joined([(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0" + thumbnail, b""), (0xFE, thumbnail, b"")] + parts), want)
# Gray has a block after the other, whatever its factors.
gray = jpeg(smooth[..., 0])
for factors in 0x31, 0x42:
    case(f"gray-{factors:x}", joined(changed(segments(gray), SOF, lambda body: body[:7] + bytes([factors]) + body[8:])), seen(gray))
# Restarts: as many as there have to be.
restarted = jpeg(smooth, restart_marker_blocks=2)
again, seen_again = segments(restarted), seen(restarted)
case("restart-at-end", joined(changed(again, SCAN, data=lambda data: data + b"\xff\xd5")), seen_again)
missing = lambda data: data.replace(b"\xff\xd1", b"")
refused("restart-missing", joined(changed(again, SCAN, data=missing)), "1 restarts in a scan that has to have 2")
refused("restarts-unsaid", joined(without(again, INTERVAL)), "restarts in a scan that has to have 0")
refused("restarts-said", joined(parts[:-1] + [(INTERVAL, b"\0\x02", b"")] + parts[-1:]), "0 restarts in a scan")
refused("one-name", joined(names(parts, bytes([1, 1, 1]))), "two components of one number")
bare = jpeg(smooth, progressive=True)
refused("no-codes", joined(without(segments(bare), HUFFMAN)), "a scan refers to a table of codes that is not there")
refused("twelve-bits", joined(changed(parts, SOF, lambda body: b"\x0c" + body[1:])), "12 bits a sample")
