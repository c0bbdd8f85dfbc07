"""Who did what in the last job, and how far the present one is."""

from __future__ import annotations

import dataclasses
import sys

_last: tuple[dict, list] | None = None


@dataclasses.dataclass(frozen=True)
class Worker:
    """One worker's part: seconds in the function, and which slices it did."""

    busy: float
    slices: list[int]


@dataclasses.dataclass(frozen=True)
class Report:
    """A job that was done: seconds from call to end, slices, workers, deaths that others made up for, and what was copied into shared
    memory because it was not on it (what it is, bytes)."""

    wall: float
    slices: int
    workers: list[Worker]
    deaths: list[dict]
    copied: list[tuple[str, int]]

    def __str__(self) -> str:
        lines = [f"{self.slices} slices in {self.wall * 1e3:.3g} ms"]
        most = max((worker.busy for worker in self.workers), default=0) or 1
        for rank, worker in enumerate(self.workers):
            bar = "#" * round(20 * worker.busy / most)
            lines.append(f"  worker {rank}: {len(worker.slices):6} slices {worker.busy * 1e3:9.3g} ms {bar}")
        for death in self.deaths:
            lines.append(f"  worker {death['rank']} (pid {death['pid']}) {death['cause']}; slice {death['slice']} was done by another")
        for what, size in self.copied:
            lines.append(f"  copied: {what}, {size / 1e6:.3g} MB; parfork.array(...) once spares that")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        most = max((worker.busy for worker in self.workers), default=0) or 1
        rows = "".join(
            f"<tr><td>{rank}</td><td>{len(worker.slices)}</td><td>{worker.busy * 1e3:.3g} ms</td>"
            f'<td style="text-align:left"><div style="background:#4c72b0;height:1em;width:{200 * worker.busy / most:.0f}px"></div></td></tr>'
            for rank, worker in enumerate(self.workers)
        )
        more = [f"worker {death['rank']} died on slice {death['slice']}, which another did" for death in self.deaths]
        more += [f"copied: {what}, {size / 1e6:.3g} MB" for what, size in self.copied]
        notes = "".join(f"<div>{_escaped(note)}</div>" for note in more)
        head = "<tr><th>worker</th><th>slices</th><th>busy</th><th></th></tr>"
        return f"<div>{self.slices} slices in {self.wall * 1e3:.3g} ms</div><table>{head}{rows}</table>{notes}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def note(fields: dict, copied: list) -> None:
    """Keeps what is known of a job."""
    global _last
    _last = fields, copied


def report() -> Report | None:
    """The report of the last job that workers have done; None if there was none."""
    if _last is None:
        return None
    fields, copied = _last
    workers = [Worker(*worker) for worker in fields["workers"]]
    return Report(fields["wall"], fields["slices"], workers, fields["deaths"], copied)


class Progress:
    """Shows how far a job is: by a line on a terminal, by tqdm if there is one, or by a function of the user's."""

    def __init__(self, wanted):
        self._bar = None
        self.told = None
        if callable(wanted):
            self.told = wanted
        elif wanted:
            self.told = self._show

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()
        elif self.told == self._show:
            print(file=sys.stderr)

    def _show(self, done: int, of: int) -> None:
        if self._bar is None and (tqdm := sys.modules.get("tqdm")) is not None:
            self._bar = tqdm.auto.tqdm(total=of) if hasattr(tqdm, "auto") else tqdm.tqdm(total=of)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        else:
            print(f"\r{done} of {of} slices", end="", file=sys.stderr, flush=True)
