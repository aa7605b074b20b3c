"""Files of a folder, and what became of them between two looks: what the sensors of files and folders share.

A folder that cannot be seen is an error, never a deletion: when it is gone, may not be read, or a file system that was
mounted there is not any more. Of a folder within it that cannot be read nothing is told, and what was known stays.

A file counts once it has stopped growing: two looks at a distance find it the same. No clock but that of the looks
says so, for the one of the files' server may be another.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import JsonValue

from sluiceway.errors import SourceMissingError, SourceUnavailableError, SourceUnreadableError, nearest
from sluiceway.events import Event, Look
from sluiceway.flows.kinds.cursor import remember, resume
from sluiceway.flows.kinds.storable import event_key

EventType = Literal["created", "modified", "deleted", "all"]
MOST_FILES = 100_000
"""In one place: what is known of each is kept in the ledger, about 90 bytes."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Mark = list[int]
"""Size in bytes, mtime and ctime in nanoseconds, and the inode's number; what an earlier version kept lacks that."""

_RENUMBERING = re.compile(r"fuse|(cifs|smb3|vfat|exfat|vboxsf|9p)$")
"""Types of file systems that give a file another inode's number when it is looked up or mounted again."""
_LEADS_NOWHERE = frozenset({errno.ELOOP, errno.ENAMETOOLONG})


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
    """What the folder holds: {"at", "mounts", "unseen", "files": {path within the folder: Mark}}, its own mount first.

    :param pattern: a glob over the names, or None for all.
    :raises SourceMissingError: there is no such folder.
    :raises SourceUnreadableError: it may not be read, or holds too many files.
    """
    at = time.time()
    files: dict[str, JsonValue] = {}
    walk = _Walk(folder, pattern, recursive, mounts=[_mount_of(folder)])
    for path, mark in walk.files():
        files[path] = [*mark]
        if len(files) + len(walk.unseen) > MOST_FILES:
            raise SourceUnreadableError(
                f"{folder}: holds more than {MOST_FILES:,} files that match; narrow pattern, or move away what is done"
            )
    return {"at": at, "mounts": [*sorted(walk.mounts)], "unseen": [*sorted(walk.unseen)], "files": files}


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
        files[_shown(name)] = [*_mark(found, _renumbering_devices())]
    return {"at": at, "mounts": mounts, "unseen": [], "files": files}


def compare_files(
    place: str, observation: Any, cursor: JsonValue, *, folder: str, event_type: EventType, settle_s: float
) -> Look:
    """The events of files, oldest first.

    :param folder: what the paths in the observation are within.
    :raises SourceMissingError: a file system that was mounted there is not any more.
    """
    found: Mapping[str, Mark] = observation["files"]
    mounts: list[str] = observation["mounts"]
    at: float = observation["at"]
    unseen: list[str] = observation.get("unseen", [])
    before = resume(cursor, place)
    if before is not None:
        _check_mounts(folder, before["mounts"], mounts)
    if before is None or mounts[0] != before["mounts"][0]:
        # the folder is on another file system now: what that hides was not deleted, and what it brings not created
        return Look((), remember(place, {"mounts": mounts, "files": dict(found), "growing": {}, "unseen": unseen}))
    known: dict[str, Mark] = dict(before["files"])
    growing = {path: seen for path, seen in before["growing"].items() if path not in found and _is_in(path, unseen)}
    events: list[tuple[float, Event]] = []

    def happened(what: str, path: str, old: Mark | None, new: Mark | None) -> None:
        if event_type in {what, "all"}:
            events.append((new[1] if new else at * 1e9, _event(what, folder, path, old, new)))

    for path in [path for path in known if path not in found and not _is_in(path, unseen)]:
        happened("deleted", path, known.pop(path), None)
    again_s: float | None = None
    for path, mark in found.items():
        old = known.get(path)
        if old is None or not _is_same(old, mark):
            since = _unchanged_since(mark, before["growing"].get(path), at)
            if at - since < settle_s:
                growing[path] = [*mark, since]
                again_s = min(again_s or settle_s, settle_s - (at - since))
                continue
            happened("created" if old is None else "modified", path, old, mark)
        known[path] = mark
    events.sort(key=lambda each: each[0])
    after = {"mounts": mounts, "files": known, "growing": growing, "unseen": unseen}
    return Look(tuple(event for _, event in events), cursor if after == before else remember(place, after), again_s)


def unseen_files(place: str, cursor: JsonValue, folder: str) -> str | None:
    """The sentence about what the last look could not read within the folder."""
    known = resume(cursor, place)
    unseen = known.get("unseen") if known is not None else None
    if not unseen:
        return None
    others = f" and {len(unseen) - 1:,} more" if len(unseen) > 1 else ""
    return (
        f"{folder.rstrip('/')}/{unseen[0]}{others}: cannot be read by the user that looks, or lies too deep, so what "
        f"happens there is not seen; grant it"
    )


def _is_same(known: Sequence[float], mark: Mark) -> bool:
    """Also by the ctime, which moves with every write and nobody can set, and the inode: `cp -p` and `mv` keep dates.

    What an earlier version has kept says less, and is compared as far as it goes.
    """
    return list(known) == mark[: len(known)]


def _unchanged_since(mark: Mark, seen: list[Any] | None, at: float) -> float:
    """Since which look the mark is this one. A clock that was set back begins anew, for it says no time of then."""
    return min(float(seen[-1]), at) if seen is not None and _is_same(seen[:-1], mark) else at


def _is_in(path: str, folders: Sequence[str]) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in folders)


def _check_mounts(folder: str, before: list[str], now: list[str]) -> None:
    if gone := [mount for mount in before if mount not in now and not _lies_below_another(mount, before, now)]:
        raise SourceMissingError(
            f"{folder}: nothing is mounted at {gone[0]} any more, so its files cannot be seen; mount it again, or give "
            f"the trigger another id to begin anew"
        )


def _lies_below_another(mount: str, before: list[str], now: list[str]) -> bool:
    """Whether a file system that came since hides this one's place: `/` holds a folder until one is mounted on it."""
    return any(each.startswith(mount.rstrip("/") + "/") for each in now if each not in before)


@dataclass
class _Walk:
    """The files of a folder; paths are text, not objects, for there may be a hundred thousand."""

    folder: str
    pattern: str | None
    recursive: bool
    mounts: list[str]
    """Grows with the file systems that are mounted within."""
    unseen: set[str] = field(default_factory=set)
    """Grows with the folders within, and the links, that cannot be read."""

    def files(self) -> Iterator[tuple[str, Mark]]:
        """Path within the folder, and mark."""
        self._real = os.path.realpath(self.folder)
        self._renumbering = _renumbering_devices()
        waiting = [""]
        while waiting:
            within = waiting.pop()
            try:
                with os.scandir(os.path.join(self.folder, within)) as entries:  # noqa: PTH118
                    for entry in entries:
                        path = f"{within}/{entry.name}" if within else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            if self.recursive:
                                waiting.append(path)
                                self._note_mount(entry.path)
                        elif (mark := self._counted(entry, path)) is not None:
                            yield _shown(path), mark
            except OSError as error:
                self._pass(within, error)

    def _pass(self, within: str, error: OSError) -> None:
        """Go on after a folder within that cannot be read; raises for any other."""
        if within and (isinstance(error, PermissionError) or error.errno in _LEADS_NOWHERE):
            self.unseen.add(_shown(within))
        # one that went away meanwhile holds no files any more
        elif not (within and isinstance(error, FileNotFoundError | NotADirectoryError)):
            raise _named(os.path.join(self.folder, within), error) from error  # noqa: PTH118

    def _note_mount(self, path: str) -> None:
        if os.path.ismount(path):
            self.mounts.append(_shown(os.path.realpath(path)))

    def _counted(self, entry: os.DirEntry[str], path: str) -> Mark | None:
        """The mark of a regular file whose name matches; a link must lead to one inside of the folder."""
        if self.pattern is not None and not _matches(entry.name, self.pattern):
            return None
        is_link = entry.is_symlink()
        if is_link and os.path.commonpath([os.path.realpath(entry.path), self._real]) != self._real:
            return None
        try:
            found = os.stat(entry.path)  # noqa: PTH116
        except OSError as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno in _LEADS_NOWHERE:
                return None
            if is_link and isinstance(error, PermissionError):
                self.unseen.add(_shown(path))
                return None
            raise
        return _mark(found, self._renumbering) if stat.S_ISREG(found.st_mode) else None


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


def _mark(found: os.stat_result, renumbering: frozenset[int]) -> Mark:
    inode = 0 if found.st_dev in renumbering else found.st_ino
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, inode]


def _renumbering_devices() -> frozenset[int]:
    """The devices of the file systems that are mounted now and whose inodes' numbers identify nothing."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:  # no Linux
        return frozenset()
    # 36 35 98:0 /root /mount options ... - type source options
    mounted = [(line.split(" ", 3)[2], line.partition(" - ")[2]) for line in lines]
    return frozenset(
        os.makedev(*map(int, device.split(":")))
        for device, kind in mounted
        if _RENUMBERING.match(kind.split(" ", 1)[0])
    )


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
    if error.errno == errno.ELOOP:
        return SourceUnreadableError(f"{shown}: is a link that leads round in circles; let it lead to a file")
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
        # ctime and inode too: a file that is put there again with its old date is a new event
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
    seconds, rest = divmod(mark[1], 10**9)
    try:
        modified_at = (EPOCH + timedelta(seconds=seconds, microseconds=rest // 1000)).isoformat()
    except OverflowError:
        # before the year 1 or after 9999, which anybody can give a file: as `touch` and `date` spell it
        modified_at = f"@{seconds}"
    return {"size": mark[0], "modified_at": modified_at}
