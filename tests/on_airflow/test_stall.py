"""The race in Airflow's supervisor for which min_heartbeat_interval is 1; docs/reference/airflow-stall.md tells it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from dev.docs.page import DOCS
from tests.dev.docs.markdown import blocks

PAGE = DOCS / "reference" / "airflow-stall.md"
MENDED = """
    while self._exit_code is None or self._open_sockets:
        self._service_subprocess(max_wait_time=0.05 if not self._open_sockets else supervisor.MIN_HEARTBEAT_INTERVAL)
supervisor.ActivitySubprocess._monitor_subprocess = mended
"""


def seconds(interval: int, *, more: str = "") -> float:
    """What the page's program prints."""
    (program,) = [block.text for block in blocks(PAGE) if block.language == "python"]
    begin = "watched = "
    assert begin in program
    text = program.replace(begin, f"{more}\n\n{begin}", 1)
    done = subprocess.run([sys.executable, "-c", text, str(interval)], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def test_a_process_that_is_gone_is_seen_after_the_interval_and_not_before() -> None:
    """Once it fails here Airflow has mended the race: drop min_heartbeat_interval from the settings, and the page."""
    with ThreadPoolExecutor(2) as pool:
        short, long = pool.map(seconds, (1, 4))
    assert long > 3 > short


def test_what_the_page_proposes_mends_it() -> None:
    assert seconds(20, more=f"def mended(self):{MENDED}") < 10
