"""A folder of pictures made smaller: wall clock and memory, against commands and scripts that do the same on two processes.

Usage: batch.py PARFORK FOLDER [PHOTOGRAPHS] [ROUNDS]; benches/peers/run batch makes the first two.
"""

import glob
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

# Columns and rows, in the shares in which they are there.
SIZES = [(1024, 768), (2048, 1536), (2048, 1536), (3264, 2448), (3264, 2448), (3264, 2448), (4000, 3000), (4000, 3000), (2048, 1536), (6000, 4000)]

# So many photographs are made, which takes a second each; the others are copies.
DIFFERENT = 70


def photographs(folder, count):
    """JPEG of quality 90: three photographs at mixed sizes and both ways round, with a sensor's noise."""
    import numpy as np
    from PIL import Image
    from skimage import data

    rng = np.random.default_rng(0)
    # Drawn once, and laid elsewhere over each.
    noise = rng.normal(0, 4, (6000, 6000, 1)).astype(np.int16)
    originals = [Image.fromarray(original) for original in (data.astronaut(), data.coffee(), data.chelsea())]
    for number in range(count):
        if number >= DIFFERENT:
            shutil.copyfile(f"{folder}/{number % DIFFERENT:03}.jpg", f"{folder}/{number:03}.jpg")
            continue
        size = SIZES[number % len(SIZES)][:: -1 if number % 7 == 3 else 1]
        picture = np.asarray(originals[number % 3].resize(size, Image.BICUBIC)).astype(np.int16)
        corner = rng.integers(0, 6000 - np.array(picture.shape[:2]) + 1)
        picture += noise[corner[0] :, corner[1] :][: picture.shape[0], : picture.shape[1]]
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(f"{folder}/{number:03}.jpg", quality=90)


def icons(folder, count):
    """PNG of 320 x 240 RGB."""
    import numpy as np
    from PIL import Image
    from skimage import data

    picture = np.asarray(Image.fromarray(data.coffee()).resize((320, 240), Image.BICUBIC))
    for number in range(count):
        Image.fromarray(np.roll(picture, number, axis=1)).save(f"{folder}/{number:03}.png")


def pillow_one(task):
    from PIL import Image

    path, out, width, draft = task
    picture = Image.open(path)
    size = (width, max(1, int(picture.height * width / picture.width + 0.5)))
    if draft:
        picture.draft("RGB", size)
    picture.resize(size, Image.LANCZOS).save(os.path.join(out, os.path.basename(path)), quality=95, subsampling=2)


def pillow(folder, out, width, draft):
    with multiprocessing.Pool(2) as pool:
        tasks = [(path, out, int(width), draft == "draft") for path in sorted(glob.glob(folder + "/*"))]
        pool.map(pillow_one, tasks, chunksize=1)


def descendants(pid):
    found = [pid]
    for each in found:
        try:
            found += [int(child) for child in open(f"/proc/{each}/task/{each}/children").read().split()]
        except OSError:
            pass
    return found


def memory(pid):
    """Bytes of a process and all below it; what they share counts once."""
    kilobytes = 0
    for each in descendants(pid):
        try:
            lines = open(f"/proc/{each}/smaps_rollup").read().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, ValueError):
            pass
    return kilobytes * 1024


def run(command, out, watched=False):
    """Seconds of one run and, of one that is watched, the most memory that was seen."""
    shutil.rmtree(out, ignore_errors=True)
    os.mkdir(out)
    environment = {"VIPS_CONCURRENCY": "1", "MAGICK_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    most = [0]

    def watch():
        while process.poll() is None:
            most[0] = max(most[0], memory(process.pid))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    if watched:
        watcher.start()
    process.wait()
    seconds = time.perf_counter() - began
    if watched:
        watcher.join()
    assert process.returncode == 0, command
    return seconds, most[0]


def contest(title, folder, width, ending, contestants, rounds):
    """Runs all in turns; the first is ours, each a name and a command."""
    count, bytes_in = len(os.listdir(folder)), sum(entry.stat().st_size for entry in os.scandir(folder))
    seconds, most, first = {name: [] for name, _ in contestants}, {}, []
    for name, command in contestants:
        _, most[name] = run(command, "out", watched=True)
        assert len(os.listdir("out")) == count, f"{name} has made {len(os.listdir('out'))} of {count}"
        from PIL import Image
        import numpy as np

        picture = np.asarray(Image.open(sorted(glob.glob("out/*"))[0])).astype(np.int16)
        first.append(picture)
        assert picture.shape == first[0].shape, f"{name}: {picture.shape}, ours {first[0].shape}"
        print(f"{name}: the first differs from ours by {np.abs(picture - first[0]).mean():.2f} levels")
    for _ in range(rounds):
        for name, command in contestants:
            # One that takes three times as long need not be known to a percent.
            if seconds[name] and seconds[name][0] > 3 * seconds[contestants[0][0]][0]:
                continue
            seconds[name].append(run(command, "out")[0])
    ours = contestants[0][0]
    print(f"\n{title}: {count} of {bytes_in / 1e6:.0f} MB\n| | s, median (min..max) | pictures/s | time / ours, medians | minima | memory, MB |\n|---|---:|---:|---:|---:|---:|")
    for name, _ in contestants:
        mine = seconds[name]
        median = statistics.median(mine)
        ratios = [f(mine) / f(seconds[ours]) for f in (statistics.median, min)]
        print(f"| {name} | {median:.2f} ({min(mine):.2f}..{max(mine):.2f}) | {count / median:.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} | {most[name] / 1e6:.0f} |")


def peers(folder, width, ending):
    """Commands that make all pictures of a folder so many columns wide, two at a time; JPEG of quality 95 and 4:2:0."""
    files = f"ls {folder}/* | xargs -P 2"
    contestants = [("parfork", [parfork, "image", *sorted(glob.glob(folder + "/*")), "-o", "out/", "--filter", f"resize:{width}x", "-n", "2", "-q"])]
    quality = "[Q=95,subsample_mode=on]" if ending == "jpg" else ""
    if shutil.which("vipsthumbnail"):
        place = os.path.abspath("out")
        contestants.append(("vipsthumbnail, 25 a process", ["sh", "-c", f"{files} -n 25 vipsthumbnail --size {width}x -o '{place}/%s.{ending}{quality}'"]))
    for draft in ["", "draft"] if ending == "jpg" else [""]:
        name = "Pillow, Pool(2)" + (", draft()" if draft else "")
        contestants.append((name, [sys.executable, os.path.abspath(__file__), "pillow", folder, "out", str(width), draft]))
    if shutil.which("mogrify"):
        contestants.append(("mogrify, 25 a process", ["sh", "-c", f"{files} -n 25 mogrify -path out -resize {width}x -quality 95 -sampling-factor 4:2:0"]))
    if shutil.which("parallel") and shutil.which("convert"):
        settings = f"-resize {width}x -quality 95 -sampling-factor 4:2:0"
        contestants.append(("parallel convert", ["sh", "-c", f"parallel --will-cite -j 2 convert {{}} {settings} out/{{/}} ::: {folder}/*"]))
    return contestants


if __name__ == "__main__":
    if sys.argv[1] == "pillow":
        pillow(*sys.argv[2:])
    else:
        __file__, parfork = os.path.abspath(__file__), os.path.abspath(sys.argv[1])
        count, rounds = [int(number) for number in (sys.argv[3:] + ["200", "5"][len(sys.argv) - 3 :])]
        os.chdir(sys.argv[2])
        for make, number in [(photographs, count), (icons, 2 * count)]:
            if not os.path.exists(make.__name__):
                os.mkdir(make.__name__)
                make(make.__name__, number)
        contest("photographs to 1200 columns, JPEG to JPEG", "photographs", 1200, "jpg", peers("photographs", 1200, "jpg"), rounds)
        contest("320x240 to 160 columns, PNG to PNG", "icons", 160, "png", peers("icons", 160, "png"), rounds)
