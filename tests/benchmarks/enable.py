"""
How long an ``<enable/>`` takes while the pusher works as fast as it can.

    python tests/benchmarks/enable.py [--events 60000] [--enables 50] [--users 100] [--rate 0] [--json]

Processes as in run.py. While messages come (`--rate` a second, 0 = as fast as the pusher acknowledges), `--enables`
clients a second enable push. Each stands in one stream behind the messages that were sent before it: what is measured
is what a client sees. What must hold: p99 < 250 ms.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from run import CONFIG, HERE, prepare, running, tell
from server_end import COMPONENT, HOST


def one_phase(server: subprocess.Popen[str], events: int, rate: float, enables: float) -> dict[str, float]:
    """Run one phase and say what it came to."""
    assert server.stdin is not None
    server.stdin.write(json.dumps({"events": events, "rate": rate, "enables": enables}) + "\n")
    server.stdin.flush()
    answer = tell(server)
    took = answer["enables_ms"]
    if enables and not took:
        sys.exit("benchmark: no enable was answered; let there be more events")
    at = {f"p{share}_ms": took[min(len(took) - 1, len(took) * share // 100)] for share in (50, 99)} if took else {}
    return {
        "notifications_per_s": events / answer["seconds"],
        "enables": len(took),
        "max_ms": max(took, default=0),
        **at,
    }


def one_run(given: argparse.Namespace) -> dict[str, float]:
    """Fresh processes, a fresh database."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/bench.db"
        prepare(folder, url, given.users)
        with running([sys.executable, str(HERE / "server_end.py"), str(given.users)]) as server:
            config = folder / "event-pusher.toml"
            config.write_text(CONFIG.format(url=url, component=COMPONENT, port=tell(server)["port"], host=HOST))
            with running([sys.executable, "-m", "event_pusher", "run", "-c", str(config)], cwd=folder):
                tell(server)
                one_phase(server, 2000, 0, 0)  # warm
                return one_phase(server, given.events, given.rate, given.enables)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--enables", type=float, default=50.0)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    given = parser.parse_args()
    found = one_run(given)
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
