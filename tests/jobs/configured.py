"""Jobs of a test: a file in a configuration of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sluiceway.settings import load_settings

SHOUT = '''"""Shouts."""

from sluiceway.jobs.definition import Done, Failed, Job, Results, Waiting


def work(batch):
    for each in batch:
        n = each.input.get("n")
        if n == 7:
            yield Failed(each.item, "no seven")
        elif n == 8:
            yield Waiting(each.item, "eight or ate?", {"size": 8})
        else:
            yield Done(each.item, {"loud": each.item.upper(), "size": n})


def decide(item, key, so_far):
    if key not in ("eight", "ate"):
        raise ValueError(f"{key!r} is neither eight nor ate")
    return Done(item.item, {**so_far, "loud": key.upper()})


JOB = Job(
    due="SELECT 'i' || n AS item, n FROM generate_series(1, 10) AS n",
    work=work,
    decide=decide,
    results=Results(table="shouted", columns={"loud": "text", "size": "integer"}, public=("loud",)),
)
'''
Setting = Callable[..., None]


def declare(tmp_path: Path, setting: Setting, *, flow: str = "", **jobs: str) -> Path:
    """A configuration with these jobs, each with its flow; its folder."""
    config = tmp_path / "config"
    for folder in ("jobs", "flows", "tables"):
        (config / folder).mkdir(parents=True, exist_ok=True)
    for name, text in jobs.items():
        (config / "jobs" / f"{name}.py").write_text(text, encoding="utf-8")
        started = flow or '[[triggers]]\nid = "manual"\ntype = "cli"\n'
        (config / "flows" / f"{name}.toml").write_text(f'flow_type = "job"\n{started}', encoding="utf-8")
    setting(config_dir=config)
    assert load_settings().config_dir == config
    return config
