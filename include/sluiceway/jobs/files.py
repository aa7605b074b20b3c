"""The jobs of a deployment: include/config/jobs/<job>.py, each with a JOB. Imported only where they are worked on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sluiceway.errors import ConfigError, nearest
from sluiceway.settings import Settings, load_settings

if TYPE_CHECKING:
    from sluiceway.jobs.definition import Job

ATTRIBUTE = "JOB"


def names(settings: Settings | None = None) -> list[str]:
    """Of the files that are there; none is imported."""
    folder = (settings or load_settings()).config_dir / "jobs"
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def read(name: str, settings: Settings | None = None) -> Job:
    """The job of a file.

    :raises ConfigError: there is no such file, it cannot be imported, or it holds no job.
    """
    settings = settings or load_settings()
    path = settings.config_dir / "jobs" / f"{name}.py"
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such job{nearest(name, names(settings))}")
    return _job_of(path)


def _job_of(path: Path) -> Job:
    # not at the top: whoever asks for names alone needs no database driver
    from sluiceway.jobs.definition import Job

    module_name = f"sluiceway_job_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # where pydantic looks for what an annotation names
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise ConfigError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    job = getattr(module, ATTRIBUTE, None)
    if not isinstance(job, Job):
        found = "there is none" if job is None else f"it is {type(job).__name__}"
        raise ConfigError(f"{path}: must define {ATTRIBUTE} = Job(...); {found}")
    return job
