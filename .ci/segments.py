"""NumPy attaches named segments by what docs/segments.md says, with the code that stands there.

Usage: segments.py PARFORK FOLDER SEGMENTS.MD
"""

import fcntl
import mmap
import os
import re
import struct
import subprocess
import sys
import zlib

import numpy as np

parfork, folder, page = os.path.abspath(sys.argv[1]), sys.argv[2], open(sys.argv[3]).read()
os.chdir(folder)
code = re.search(r"```python\n(.*?)```", page, re.S)[1]
with open("attach.py", "w") as file:
    file.write(code)


def run(*words):
    return subprocess.run([parfork, "shm", *words], check=True, capture_output=True, text=True).stdout


random = np.random.default_rng(6)
arrays = [random.integers(0, 200, (7, 5, 3)).astype(dtype) for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "u8", "i8", "f8")]
arrays += [np.asfortranarray(random.random((40, 30))), random.random((300, 500)), np.float64(7).reshape(()), np.zeros((0, 4)), random.random((1,) * 32)]
for array in arrays:
    np.save("x.npy", array)
    said = run("create", "numpy", "--from", "x.npy", "--", sys.executable, "attach.py").strip()
    assert said == f"{array.dtype} {array.shape} {array.sum()}", (said, array.dtype, array.shape, array.sum())
print(f"{len(arrays)} arrays of all types read by the code in docs/segments.md")

# And to write, with a parfork that waits for it.
np.save("x.npy", np.arange(12.0).reshape(3, 4))
run("create", "numpy", "--from", "x.npy", "--keep")
watch = subprocess.Popen([parfork, "shm", "watch", "numpy", "--past", "0", "--count", "1", "--deadline", "60s"], stdout=subprocess.PIPE, text=True)
path = f"/dev/shm/parfork-{os.getuid()}/numpy"
file = open(path, "r+b")
at = struct.unpack("=Q", os.pread(file.fileno(), 8, 24))[0]
fcntl.lockf(file, fcntl.LOCK_EX, 1, 1)
fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
fcntl.lockf(file, fcntl.LOCK_UN, 1, 1)
words = mmap.mmap(file.fileno(), 4096)
words[1032:1036] = struct.pack("=I", os.getpid())
refused = subprocess.run([parfork, "shm", "get", "numpy", "-o", "y.npy", "--deadline", "50ms"], capture_output=True, text=True)
assert refused.returncode == 1 and "within 50ms" in refused.stderr, refused
array = np.memmap(file, np.float64, "r+", at, (3, 4))
array *= 2
words[1024:1032] = struct.pack("=Q", 1 + struct.unpack("=Q", words[1024:1032])[0])
words[1032:1036] = struct.pack("=I", 0)
fcntl.lockf(file, fcntl.LOCK_UN, 1, 0)
assert watch.communicate(timeout=60)[0] == "generation 1\n"
run("get", "numpy", "-o", "y.npy")
assert (np.load("y.npy") == 2 * np.arange(12.0).reshape(3, 4)).all()

# A header that was spoilt, checksum and all.
head = bytearray(os.pread(file.fileno(), 1024, 0))
head[128:136] = struct.pack("=Q", 1 << 62)
head[1020:] = struct.pack("=I", zlib.crc32(bytes(head[:1020])))
os.pwrite(file.fileno(), head, 0)
refused = subprocess.run([parfork, "shm", "info", "numpy"], capture_output=True, text=True)
assert refused.returncode == 3 and "overflows" in refused.stderr, refused
run("rm", "numpy")
print("written by NumPy, under the lock, and awaited by parfork")
