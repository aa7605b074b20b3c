"""Files of a folder, and what became of them between two looks: what the sensors of files and folders share.

A folder that cannot be seen whole is an error, never a deletion: when it is gone, may not be read, or a file system
that was mounted there is not any more. A file counts once it has stopped growing.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import JsonValue

from sluiceway.errors import SourceMissingError, SourceUnavailableError, SourceUnreadableError, nearest
from sluiceway.events import Event, Look
from sluiceway.flows.kinds.cursor import remember, resume
from sluiceway.flows.kinds.storable import event_key

EventType = Literal["created", "modified", "deleted", "all"]
MOST_FILES = 100_000
"""In one place: what is known of each is kept in the ledger, about 80 bytes."""

Mark = list[int]
"""Size in bytes, mtime and ctime in nanoseconds."""


def checked_path(path: str) -> str:
    """The path; raises ValueError unless it can be nothing but one place."""
    if "\0" in path:
        raise ValueError("a path holds no NUL character")
    if not path.startswith("/"):
        raise ValueError("write the whole path, from / on")
    if ".." in path.split("/"):
        raise ValueError("write the path without '..'")
    return str(PurePosixPath(path))


def observe_folder(folder: str, pattern: str | None, *, recursive: bool) -> JsonValue:
    """What the folder holds: {"at", "mounts", "files": {path within the folder: Mark}}, its own mount first.

    :param pattern: a glob over the names, or None for all.
    :raises SourceMissingError: there is no such folder.
    :raises SourceUnreadableError: it may not be read, or holds too many files.
    """
    at = time.time()
    files: dict[str, JsonValue] = {}
    mounts = [_mount_of(folder)]
    for path, mark in _walk(folder, pattern, recursive, mounts):
        files[path] = [*mark]
        if len(files) > MOST_FILES:
            raise SourceUnreadableError(
                f"{folder}: holds more than {MOST_FILES:,} files that match; narrow pattern, or move away what is done"
            )
    return {"at": at, "mounts": [*sorted(mounts)], "files": files}


def observe_file(path: str) -> JsonValue:
    """The same of one file, by its name. A file that is not there is no error as long as its folder is."""
    at = time.time()
    folder, name = os.path.split(path)
    mounts: list[JsonValue] = [_mount_of(folder)]
    found = _stat(path)
    files: dict[str, JsonValue] = {}
    if found is not None:
        if not stat.S_ISREG(found.st_mode):
            hint = "; watch it with sensor_type = 'directory'" if stat.S_ISDIR(found.st_mode) else ""
            raise SourceUnreadableError(f"{path}: is no file{hint}")
        files[_shown(name)] = [*_mark(found)]
    return {"at": at, "mounts": mounts, "files": files}


def compare_files(
    place: str, observation: Any, cursor: JsonValue, *, folder: str, event_type: EventType, settle_s: float
) -> Look:
    """The events of files, oldest first.

    :param folder: what the paths in the observation are within.
    :raises SourceMissingError: a file system that was mounted there is not any more.
    """
    found: Mapping[str, Mark] = observation["files"]
    mounts: list[str] = observation["mounts"]
    before = resume(cursor, place)
    if before is not None:
        _check_mounts(folder, before["mounts"], mounts)
    if before is None or mounts[0] != before["mounts"][0]:
        # the folder is on another file system now: what that hides was not deleted, and what it brings not created
        return Look((), remember(place, {"mounts": mounts, "files": dict(found), "growing": {}}))
    known: dict[str, Mark] = dict(before["files"])
    growing: dict[str, list[Any]] = {}
    events: list[tuple[float, Event]] = []

    def happened(what: str, path: str, old: Mark | None, new: Mark | None) -> None:
        if event_type in {what, "all"}:
            events.append((new[1] if new else observation["at"] * 1e9, _event(what, folder, path, old, new)))

    for path in [path for path in known if path not in found]:
        happened("deleted", path, known.pop(path), None)
    for path, mark in found.items():
        old = known.get(path)
        if old is not None and old[:2] == mark[:2]:
            continue
        since = _unchanged_since(mark, before["growing"].get(path), observation["at"])
        if observation["at"] - since < settle_s:
            growing[path] = [*mark[:2], since]
            continue
        known[path] = mark
        happened("created" if old is None else "modified", path, old, mark)
    events.sort(key=lambda each: each[0])
    after = {"mounts": mounts, "files": known, "growing": growing}
    return Look(tuple(event for _, event in events), cursor if after == before else remember(place, after))


def _unchanged_since(mark: Mark, seen: list[Any] | None, at: float) -> float:
    """Since when size and mtime are these: as the file's ctime says, or as long as they were seen so.

    The ctime moves with every write and nobody can set it; but it is from the clock of the file's server.
    """
    watched = seen[2] if seen is not None and seen[:2] == mark[:2] else at
    return float(min(watched, mark[2] / 1e9))


def _check_mounts(folder: str, before: list[str], now: list[str]) -> None:
    if gone := [mount for mount in before if mount not in now and not _lies_below_another(mount, before, now)]:
        raise SourceMissingError(
            f"{folder}: nothing is mounted at {gone[0]} any more, so its files cannot be seen; mount it again, or give "
            f"the trigger another id to begin anew"
        )


def _lies_below_another(mount: str, before: list[str], now: list[str]) -> bool:
    """Whether a file system that came since hides this one's place: `/` holds a folder until one is mounted on it."""
    return any(each.startswith(mount.rstrip("/") + "/") for each in now if each not in before)


def _walk(folder: str, pattern: str | None, recursive: bool, mounts: list[str]) -> Iterator[tuple[str, Mark]]:
    real = os.path.realpath(folder)
    waiting = [""]
    while waiting:
        within = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, within)) as entries:  # noqa: PTH118  # paths are not parsed again
                for entry in entries:
                    path = f"{within}/{entry.name}" if within else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if recursive:
                            waiting.append(path)
                            if os.path.ismount(entry.path):
                                mounts.append(_shown(os.path.realpath(entry.path)))
                    elif (mark := _counted(entry, pattern, real)) is not None:
                        yield _shown(path), mark
        except OSError as error:
            # a folder within it that went away meanwhile holds no files any more
            if not (within and isinstance(error, FileNotFoundError | NotADirectoryError)):
                raise _named(os.path.join(folder, within), error) from error  # noqa: PTH118


def _counted(entry: os.DirEntry[str], pattern: str | None, real: str) -> Mark | None:
    """The mark of a regular file whose name matches; a link must lead to one inside of the folder."""
    if pattern is not None and not _matches(entry.name, pattern):
        return None
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if os.path.commonpath([target, real]) != real:
            return None
    found = _stat(entry.path)
    return _mark(found) if found is not None and stat.S_ISREG(found.st_mode) else None


def _matches(name: str, pattern: str) -> bool:
    # as in a shell: what is still written often has a name that begins with a dot
    return fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _named(path, error) from error


def _mark(found: os.stat_result) -> Mark:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _mount_of(folder: str) -> str:
    """Where the file system that holds the folder is mounted."""
    try:
        os.stat(folder)  # noqa: PTH116
    except OSError as error:
        raise _named(folder, error) from error
    real = os.path.realpath(folder)
    while not os.path.ismount(real):
        real = os.path.dirname(real)  # noqa: PTH120
    return _shown(real)


def _named(path: str, error: OSError) -> Exception:
    path = path.rstrip("/") or "/"
    shown = _shown(path)
    if isinstance(error, FileNotFoundError):
        above, name = os.path.split(path)
        try:
            siblings = [_shown(each) for each in os.listdir(above)]  # noqa: PTH208
        except OSError:
            siblings = []
        return SourceMissingError(f"{shown}: there is no such folder{nearest(name, siblings, listing=False)}")
    if isinstance(error, NotADirectoryError):
        return SourceUnreadableError(f"{shown}: is no folder")
    if isinstance(error, PermissionError):
        return SourceUnreadableError(f"{shown}: may not be read by the user that looks; grant it")
    return SourceUnavailableError(f"{shown}: cannot be read: {error.strerror}; try again later")


def _shown(path: str) -> str:
    """As text: a name may hold bytes that are none."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _event(what: str, folder: str, path: str, old: Mark | None, new: Mark | None) -> Event:
    last = new or old
    assert last is not None
    return Event(
        # the ctime too: a file that is put there again with its old date is a new event
        key=event_key(what, path, *last),
        facts={
            "event": what,
            "path": f"{_shown(folder).rstrip('/')}/{path}",
            "size": last[0],
            "old": _described(old),
            "new": _described(new),
        },
    )


def _described(mark: Mark | None) -> JsonValue:
    if mark is None:
        return None
    return {"size": mark[0], "modified_at": datetime.fromtimestamp(mark[1] / 1e9, UTC).isoformat()}
