"""
How long an ``<enable/>`` takes while the pusher works as fast as it can.

    python tests/benchmarks/enable.py [--seconds 10] [--users 100] [--rate 0] [--json]

A feed thread hands in messages (`--rate` a second, 0 = as fast as the pusher acknowledges); meanwhile one client after
the other enables push, each waits for the answer. Server end and clients share this process, so the figures are an
upper bound. What must hold: p99 < 250 ms.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from run import CONFIG, prepare, running
from server_end import COMPONENT, HOST, SERVICE

from event_pusher.loopback import LoopbackServer

#: What the feed may be ahead of the acknowledgements: the window's size.
AHEAD = 2000


def feed(server: LoopbackServer, users: int, rate: float, done: threading.Event) -> None:
    """Hand in messages until `done`."""
    made, began = 0, time.monotonic()
    while not done.is_set():
        due = AHEAD - (server.ring.next - server.acked)
        if rate:
            due = min(due, int((time.monotonic() - began) * rate) - made)
        for _ in range(min(due, 100)):
            server.message(f"alice@{HOST}/r", f"user{made % users}@{HOST}", f"m:{made}")
            made += 1
        if due <= 0:
            done.wait(0.002)


def measure(server: LoopbackServer, seconds: float) -> list[float]:
    """Enable for `seconds`; how long each took."""
    took: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        answer = server.enable(f"client{len(took)}@{HOST}", SERVICE, "node")
        took.append(time.monotonic() - began)
        if answer.type != "result":
            sys.exit(f"benchmark: an enable was refused: {answer.condition}")
    return sorted(took)


def one_run(seconds: float, users: int, rate: float) -> dict[str, float]:
    """Fresh processes, a fresh database."""
    with tempfile.TemporaryDirectory() as name, LoopbackServer(HOST, COMPONENT, "bench") as server:
        folder = Path(name)
        url = f"sqlite:///{folder}/bench.db"
        prepare(folder, url, users)
        service = server.push_service(SERVICE, parse=False)
        config = folder / "event-pusher.toml"
        port = server.address.rpartition(":")[2]
        config.write_text(CONFIG.format(url=url, component=COMPONENT, port=port, host=HOST))
        command = [sys.executable, "-m", "event_pusher", "run", "-c", str(config)]
        with running(command, cwd=folder, stderr=subprocess.DEVNULL):
            if not server.wait_connected():
                sys.exit("benchmark: the pusher did not connect")
            done = threading.Event()
            thread = threading.Thread(target=feed, args=(server, users, rate, done))
            thread.start()
            before = service.count
            took = measure(server, seconds)
            done.set()
            thread.join()
            pushed = service.count - before
    at = {f"p{share}_ms": took[min(len(took) - 1, len(took) * share // 100)] * 1000 for share in (50, 99)}
    return {"enables": len(took), "notifications_per_s": pushed / seconds, "max_ms": took[-1] * 1000, **at}


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    given = parser.parse_args()
    found = one_run(given.seconds, given.users, given.rate)
    if given.json:
        print(json.dumps(found))
        return
    print("| enables | notifications/s meanwhile | p50 ms | p99 ms | longest ms |")
    print("| --- | --- | --- | --- | --- |")
    print(
        f"| {found['enables']:.0f} | {found['notifications_per_s']:,.0f} | {found['p50_ms']:.1f} |"
        f" {found['p99_ms']:.1f} | {found['max_ms']:.1f} |"
    )


if __name__ == "__main__":
    main()
