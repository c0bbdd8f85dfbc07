"""Shows that array data is shared, not sent.

Usage: sharing.py PARFORK FOLDER (both checks use files that this script writes; no NumPy needed)
"""

import array
import glob
import os
import re
import subprocess
import sys
from signal import SIGCONT, SIGSTOP

parfork, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
os.chdir(folder)


def save(name, shape, fill):
    """An .npy file of f8, row by row from fill(row)."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(name, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        for row in range(shape[0]):
            array.array("d", fill(row)).tofile(file)


def no_array_data_between_processes():
    """Under strace: workers read and write nothing large, and there is no channel that they could send data through."""
    for name in "ab":
        save(f"{name}.npy", (512, 512), lambda row: [float((row * 7 + column) % 10) for column in range(512)])
    calls = "read,write,readv,writev,pread64,pwrite64,preadv,pwritev,preadv2,pwritev2,sendto,recvfrom,sendmsg,recvmsg,sendmmsg,recvmmsg,pipe,pipe2,socket,socketpair,process_vm_readv,process_vm_writev,splice,vmsplice,tee,sendfile,copy_file_range,mq_open,msgget,clone,clone3,fork,vfork"
    # A file for each process: in one for all, calls that overlap are cut in two.
    subprocess.run(["strace", "-ff", "-y", "-qq", "-e", f"trace={calls}", "-o", "calls", parfork, "matmul", "a.npy", "b.npy", "-o", "c.npy", "-n", "4", "-q"], check=True)
    files = sorted(glob.glob("calls.*"), key=lambda name: int(name.split(".")[1]))
    lines = [(int(name.split(".")[1]), re.match(r"(\w+)\((.*)\) += (-?\d+)", line)) for name in files for line in open(name)]
    lines = [(pid, call[1], call[2], int(call[3])) for pid, call in lines if call]
    coordinator = int(files[0].split(".")[1])
    workers = {pid for pid, *_ in lines} - {coordinator}
    forks = [result for _, call, _, result in lines if call in ("clone", "clone3", "fork", "vfork")]
    assert len(forks) == 5, f"4 workers and the process that would replace them, but {forks}"
    channels = [line for line in lines if line[1] in ("pipe", "pipe2", "socket", "socketpair", "splice", "vmsplice", "tee", "mq_open", "msgget") or line[1].startswith(("send", "recv", "process_vm"))]
    # One pipe, which that process holds open and nobody writes to: its end tells when the last of its workers is gone.
    pipes = [line for line in channels if line[1] == "pipe2"]
    assert len(pipes) <= 1 and channels == pipes, channels
    used = [line for line in lines if line[1] not in ("pipe", "pipe2") and "<pipe:" in line[2].split(",")[0]]
    assert not used, used
    moved = [line for line in lines if line[0] in workers and line[1] not in ("clone", "clone3") and line[3] > 0]
    payload = 512 * 512 * 8
    total = sum(result for *_, result in moved)
    assert total < payload // 100, f"workers moved {total} bytes through {moved}"
    print(f"ok    4 workers multiplied 512x512 f64: {total} bytes through read and write in workers, nothing through a pipe, no socket")


def proportional(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            return sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return 0


def children(pid):
    """Of its first thread, which alone forks; others end at any moment."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [int(child) for child in children.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def together_hardly_more_than_the_data():
    """The sum of PSS over coordinator and 4 workers, sampled while a job works on 1 GiB: of the file where it lies, and of memory."""
    gib = 1 << 30
    row = [float(i % 1000) for i in range(8192)]
    save("big.npy", (gib // 8 // 8192, 8192), lambda _: row)
    # To verify, the coordinator reads the file into shared memory, all of which is there when its workers begin.
    good = True
    for what, flags, least in [("a mapped file", [], 1), ("shared memory", ["--verify"], 0.95 * gib)]:
        peak = max(sampled(["norm", "big.npy", "-n", "4", "-q", *flags]) for _ in range(5))
        fits = least <= peak <= 1.05 * gib
        good = good and fits
        print(f"{'ok    ' if fits else 'FAILED'} 1 GiB of input in {what}, 4 workers: together at most {peak / gib:.4f} GiB of memory (PSS), sampled")
    return good


def sampled(command):
    """The most memory that a job and its 4 workers had together, in bytes."""
    peak = 0
    job = subprocess.Popen([parfork, *command], stdout=subprocess.DEVNULL)
    while job.poll() is None:
        processes = [job.pid, *children(job.pid)]
        if len(processes) == 5:
            # Stopped while they are looked at: a page that another worker maps between two looks would count twice.
            for pid in processes:
                signal(pid, SIGSTOP)
            peak = max(peak, sum(map(proportional, processes)) * 1024)
            for pid in processes:
                signal(pid, SIGCONT)
    assert job.returncode == 0
    return peak


no_array_data_between_processes()
sys.exit(not together_hardly_more_than_the_data())
