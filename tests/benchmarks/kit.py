"""What all benchmarks share: children, what a process costs, how busy the machine is, medians, tables and plots."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")

Figures = dict[str, float]


class BenchmarkError(Exception):
    """What was measured is no measurement; the text says why."""


class Child:
    """A process that says lines of JSON, and is ended by its id. What it writes to stderr is kept for its failure."""

    def __init__(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        self.arguments = [str(one) for one in arguments]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            self.arguments, text=True, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        self.pid = self._process.pid

    def say(self, **command: Any) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise BenchmarkError(self._ended()) from None

    def hear(self) -> dict[str, Any]:
        """Wait for its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError(self._ended())
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            lost, again = answer["missing"], answer["again"]
            raise BenchmarkError(f"{lost} of {answer['expected']} notifications never came, {again} came twice")
        return answer

    def ask(self, **command: Any) -> dict[str, Any]:
        """Give it a line and wait for the answer."""
        self.say(**command)
        return self.hear()

    def errors(self) -> str:
        """What it has written to stderr."""
        self._errors.seek(0)
        return self._errors.read()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        with suppress(OSError):  # it ended before it had read everything
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        told = "\n".join(self.errors().splitlines()[-20:])
        return f"{' '.join(self.arguments[:4])} ended early ({self._process.returncode}):\n{told}"


@contextmanager
def running(*arguments: str | Path, cwd: Path | None = None) -> Iterator[Child]:
    """A child that ends with the block."""
    child = Child(*arguments, cwd=cwd)
    try:
        yield child
    finally:
        child.close()


# --- what a process costs ---------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """
    CPU time of a process so far.

    By the scheduler's nanoseconds, thread by thread: ticks, the fallback, miss what runs for less than one. A thread
    that ended is not in the sum; those that are measured here live as long as their process.
    """
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in _tasks(pid)) / 1e9
    except OSError:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def family(pid: int) -> list[int]:
    """The process and its children: a PostgreSQL server is many."""
    found = [pid]
    for stat in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def rss_mb(pid: int, *, peak: bool = False) -> float:
    """The memory that the process has, or the most that it had."""
    status = (PROC / str(pid) / "status").read_text()
    return int(status.partition("VmHWM:" if peak else "VmRSS:")[2].split()[0]) / 1024


def open_files(pid: int) -> int:
    """How many file descriptors the process has."""
    return len(list((PROC / str(pid) / "fd").iterdir()))


def _tasks(pid: int) -> list[Path]:
    return list((PROC / str(pid) / "task").iterdir())


# --- the machine ------------------------------------------------------------------------------------------------


def load(seconds: float = 0.5) -> str:
    """How busy the machine is just now: its load average, and the share of its processors that is in use."""
    busy, total = _stat()
    time.sleep(seconds)
    busy_then, total_then = _stat()
    share = (busy_then - busy) / max(1, total_then - total)
    return f"load {os.getloadavg()[0]:.2f}, {share:.0%} of {os.cpu_count()} processors busy"


def _stat() -> tuple[int, int]:
    fields = [int(one) for one in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


# --- results ----------------------------------------------------------------------------------------------------


def medians(runs: Sequence[Mapping[str, Figures]]) -> dict[str, Figures]:
    """The median of each figure of each line over the runs."""
    return {
        line: {name: statistics.median(run[line][name] for run in runs) for name in runs[0][line]} for line in runs[0]
    }


@dataclass
class Column:
    """A figure as the table shows it."""

    key: str
    title: str
    digits: int = 0

    def show(self, figures: Mapping[str, float]) -> str:
        value = figures.get(self.key)
        return "-" if value is None else f"{value:,.{self.digits}f}"


@dataclass
class Result:
    """A table: `lines` by name. `plot` names the figures to draw, one picture beside the other."""

    title: str
    head: str
    columns: Sequence[Column]
    lines: Mapping[str, Figures]
    plot: Sequence[str]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table, for people."""
        rows = [[name, *(column.show(figures) for column in self.columns)] for name, figures in self.lines.items()]
        head = [self.head, *(column.title for column in self.columns)]
        table = [head, ["---"] * len(head), *rows]
        return "\n".join([self.title, "", *(f"| {' | '.join(row)} |" for row in table), "", *self.notes])

    def draw(self, target: str) -> None:
        """Bars, one picture for each figure."""
        try:
            matplotlib: Any = importlib.import_module("matplotlib")
        except ImportError:
            raise BenchmarkError('a plot needs matplotlib: pip install "event-pusher[bench]"') from None
        matplotlib.use("Agg")
        pyplot: Any = importlib.import_module("matplotlib.pyplot")
        titles = {column.key: column.title for column in self.columns}
        height = 1.2 + 0.4 * len(self.lines)
        figure, places = pyplot.subplots(1, len(self.plot), figsize=(5 * len(self.plot), height), squeeze=False)
        for index, (place, key) in enumerate(zip(places[0], self.plot, strict=True)):
            names = list(self.lines)[::-1]
            bars = place.barh(names, [self.lines[name].get(key, 0.0) for name in names])
            place.bar_label(bars, fmt=_label, padding=3)
            place.margins(x=0.2)
            place.set_title(titles[key])
            place.tick_params(labelleft=index == 0)
        figure.suptitle(self.title)
        figure.tight_layout()
        figure.savefig(target, dpi=120)


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def parser(doc: str | None, *, runs: int = 3) -> argparse.ArgumentParser:
    """The options that every benchmark has; from here on a SIGTERM ends it as Ctrl-C does, with all its children."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("benchmark: terminated"))
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--runs", type=int, default=runs, help=f"medians of so many runs (default {runs})")
    made.add_argument("--json", metavar="FILE", help="write the figures of all runs there; - is standard output")
    made.add_argument("--plot", metavar="FILE.png", help="draw them")
    return made


def carry_out(
    given: argparse.Namespace,
    one_run: Callable[[], dict[str, Figures]],
    result: Callable[[dict[str, Figures]], Result],
) -> None:
    """Make the runs; print the table of their medians, write and draw what was asked for."""
    try:
        before = load()
        runs = [one_run() for _ in range(max(1, given.runs))]
        found = result(medians(runs))
        found.notes.append(f"Medians of {len(runs)}. Before: {before}; after: {load()}.")
        publish(given, found, runs)
    except (BenchmarkError, AssertionError) as error:
        sys.exit(f"benchmark: {error}")


def publish(given: argparse.Namespace, found: Result, runs: Sequence[Mapping[str, Figures]]) -> None:
    """Print the table (unless JSON takes its place), write and draw."""
    text = json.dumps({"title": found.title, "notes": found.notes, "median": found.lines, "runs": runs}, indent=1)
    print(text if given.json == "-" else found.markdown(), flush=True)
    if given.json and given.json != "-":
        Path(given.json).write_text(text + "\n", encoding="utf-8")
    if given.plot:
        found.draw(given.plot)
