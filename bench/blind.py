"""The watch of an endpoint that is down, slow, or answers a web page, for an hour. Writes bench/results/blind.json.

Good is: each watch says once that it is blind, starts nothing, and asks at most so often as docs/how-to/deploy.md says.
The three watches are the triggerer's own, in one process without Airflow, and ask over real HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from dev.environment import ROOT
from tests.stand_ins.version_endpoint import VersionEndpoint

FOLDER = ROOT / ".local" / "blind"
RESULTS = ROOT / "bench" / "results" / "blind.json"
POLL_S = 1.0
REQUEST_TIMEOUT_S = 5.0
LONGEST_S = 60.0
FIRST_MINUTE = 8
"""Questions while the waits still double: 2 + 4 + 8 + 16 + 32 s, and what a slow answer adds."""

console = Console(highlight=False)


async def watch(name: str, events: list[dict[str, Any]]) -> None:
    from sluiceway.on_airflow.triggers.deploy_watch import DeployWatchTrigger

    async for event in DeployWatchTrigger(environment=name, dag_id="master_etl").run():
        events.append(event.payload)  # noqa: PERF401  # the watch never ends: each is kept as it comes


async def blind(urls: dict[str, str], seconds: float) -> dict[str, list[dict[str, Any]]]:
    """What each watch tells within so many seconds."""
    events: dict[str, list[dict[str, Any]]] = {name: [] for name in urls}
    watches = [asyncio.create_task(watch(name, found)) for name, found in events.items()]
    done, _ = await asyncio.wait(watches, timeout=seconds)
    for each in watches:
        each.cancel()
    for each in done:
        # a watch that ended is an error; show it
        each.result()
    return events


def silent_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Watch; returns 0 when every watch was quiet, cheap and seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    environments = FOLDER / "environments"
    environments.mkdir(parents=True, exist_ok=True)
    os.environ["SLUICEWAY_CONFIG_DIR"] = str(FOLDER)
    with VersionEndpoint() as html, VersionEndpoint() as slow:
        html.fault, slow.fault = "html", "slow"
        urls = {"down": f"http://127.0.0.1:{silent_port()}", "html": html.uri, "slow": slow.uri}
        for name, url in urls.items():
            (environments / f"{name}.toml").write_text(
                f'kind = "http"\nurl = "{url}"\npoll_s = {POLL_S}\nrequest_timeout_s = {REQUEST_TIMEOUT_S}\n'
            )
        before = time.process_time()
        events = asyncio.run(blind(urls, minutes * 60))
        processor_s = time.process_time() - before
        slow.fault = None
    requests = {"html": len(html.requests), "slow": len(slow.requests)}
    most = FIRST_MINUTE + minutes * 60 / LONGEST_S
    measured = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "minutes": minutes,
        "poll_s": POLL_S,
        "requests": requests,
        "requests_at_most": most,
        "events": events,
        "processor_s": round(processor_s, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    Path(RESULTS).write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    console.print_json(data=measured)
    said_once = all(len(found) == 1 and "problem" in found[0] for found in events.values())
    good = said_once and all(count <= most for count in requests.values())
    console.print(f"{'Good' if good else 'BAD'}: {RESULTS}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
