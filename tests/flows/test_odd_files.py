"""Files that are odd or hostile, on real file systems: each is an event, or none, and the watch goes on."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from sluiceway.errors import SourceMissingError, SourceUnavailableError, SourceUnreadableError
from sluiceway.flows.kinds import files
from sluiceway.flows.look import cursor_of, has_moved, look_now
from sluiceway.ledger import events
from sluiceway.ledger.warehouse import connect
from sluiceway.sources.connections import from_environment
from tests.flows.looks import Looks, trigger_of

FAR = 300_000_000_000
"""Seconds since 1970: in the year 11476."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, whose file system keeps any date; that of the disk keeps those up to 2446."""
    with TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)


@pytest.fixture
def watch(folder: Path) -> Callable[..., Looks]:
    """A sensor of the folder that has looked once."""

    def make(**keys: Any) -> Looks:
        looks = Looks(trigger_of(sensor_type="directory", **{"path": str(folder), "settle_seconds": 0, **keys}))
        assert looks.events() == ()
        return looks

    return make


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (FAR, f"@{FAR}"),
        (-FAR, f"@-{FAR}"),
        (253_402_300_799, "9999-12-31T23:59:59+00:00"),
        (253_402_300_800, "@253402300800"),
        (-62_135_596_800, "0001-01-01T00:00:00+00:00"),
        (-62_135_596_801, "@-62135596801"),
        (-1, "1969-12-31T23:59:59+00:00"),
        (0, "1970-01-01T00:00:00+00:00"),
    ],
)
def test_a_file_of_any_date_is_an_event(folder: Path, watch: Callable[..., Looks], seconds: int, said: str) -> None:
    looks, path = watch(), folder / "a.csv"
    for what in ("created", "modified"):
        path.write_text(what)
        os.utime(path, ns=(0, seconds * 10**9))
        assert path.stat().st_mtime_ns == seconds * 10**9
        (facts,) = looks.facts()
        assert (facts["event"], facts["new"]["modified_at"]) == (what, said)
    path.unlink()
    assert [facts["old"]["modified_at"] for facts in looks.facts()] == [said]


def test_a_file_of_any_date_does_not_hide_others(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch()
    for number, seconds in enumerate([FAR, -FAR, 0, 1_700_000_000]):
        (folder / f"{number}.csv").write_text("1")
        os.utime(folder / f"{number}.csv", (seconds, seconds))
    assert [Path(facts["path"]).name for facts in looks.facts()] == ["1.csv", "2.csv", "3.csv", "0.csv"]


def test_the_ledger_keeps_what_is_known_of_a_file_of_any_date(folder: Path, warehouse_url: str) -> None:
    trigger = trigger_of(sensor_type="directory", path=str(folder), settle_seconds=0)
    assert look_now(warehouse_url, trigger, from_environment) == (0, 0)
    (folder / "a\nb\udce9.csv").write_text("1")
    os.utime(folder / "a\nb\udce9.csv", (FAR, FAR))
    assert look_now(warehouse_url, trigger, from_environment) == (1, 1)
    with connect(warehouse_url) as session:
        known = events.state(session, "f", "t")
        (stored,) = events.unclaimed(session, "f")
    assert stored.facts["path"] == f"{folder}/a\nb\\xe9.csv"
    assert stored.facts["new"] == {"size": 1, "modified_at": f"@{FAR}"}
    look = trigger.compare(trigger.observe(from_environment, None), cursor_of(trigger, known))
    assert not has_moved(trigger, known, look)


def test_a_link_that_leads_round_in_circles_is_no_file(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch(recursive=True)
    (folder / "a.csv").symlink_to(folder / "b.csv")
    (folder / "b.csv").symlink_to(folder / "a.csv")
    (folder / "self.csv").symlink_to("self.csv")
    (folder / "long.csv").symlink_to("x/" * 2000)
    (folder / "own.csv").write_text("1")
    assert [Path(facts["path"]).name for facts in looks.facts()] == ["own.csv"]


def test_a_file_in_place_of_which_a_link_leads_round_in_circles_is_an_error_of_its_own(folder: Path) -> None:
    path = folder / "orders.csv"
    looks = Looks(trigger_of(sensor_type="file", path=str(path), settle_seconds=0))
    assert looks.events() == ()
    path.symlink_to(path)
    with pytest.raises(SourceUnreadableError, match=rf"^{path}: is a link that leads round in circles"):
        looks.events()
    path.unlink()
    path.write_text("1")
    assert len(looks.events()) == 1


def test_a_file_that_goes_between_listing_and_looking_is_none(
    folder: Path, watch: Callable[..., Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = watch(recursive=True)
    (folder / "sub").mkdir()
    for name in ("gone.csv", "stays.csv", "sub/inner.csv"):
        (folder / name).write_text("1")
    real = files._Walk._counted

    def late(walk: files._Walk, entry: os.DirEntry[str], path: str) -> Any:
        # somebody takes it away after the folder was listed
        if entry.name == "gone.csv":
            Path(entry.path).unlink()
            (folder / "sub" / "inner.csv").unlink(missing_ok=True)
            if (folder / "sub").exists():
                (folder / "sub").rmdir()
        return real(walk, entry, path)

    monkeypatch.setattr(files._Walk, "_counted", late)
    assert [Path(facts["path"]).name for facts in looks.facts()] == ["stays.csv"]


def test_a_name_as_long_as_names_can_be_is_taken(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch()
    for name in ("ü" * 127, "a" * 255, "\n" * 255, "\x7f\x1b[31m", os.fsdecode(b"\xff" * 255)):
        (folder / name).write_text("1")
    assert len(looks.facts()) == 5
    json.dumps(looks.cursor, ensure_ascii=False).encode()


# folders without rights


@contextmanager
def as_nobody() -> Iterator[None]:
    """As a user to whom rights apply, also where root runs the tests."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed(folder: Path) -> Iterator[Path]:
    """A folder within, which holds a file."""
    folder.chmod(0o755)
    made = folder / "closed"
    made.mkdir()
    (made / "known.csv").write_text("1")
    yield made
    made.chmod(0o755)


@pytest.mark.parametrize("rights", [0o000, 0o444, 0o111])
def test_a_folder_without_rights_hides_no_others_and_tells_no_deletion(
    folder: Path, closed: Path, watch: Callable[..., Looks], rights: int
) -> None:
    for name in ("before.csv", "gone.csv"):
        (folder / name).write_text("1")
    looks = watch(recursive=True)
    assert looks.trigger.warning(None) is looks.trigger.warning(looks.cursor) is None
    closed.chmod(rights)
    (folder / "seen.csv").write_text("1")
    for name in ("before.csv", "gone.csv"):
        (folder / name).unlink()
    with as_nobody():
        assert {(facts["event"], facts["path"]) for facts in looks.facts()} == {
            ("created", f"{folder}/seen.csv"),
            ("deleted", f"{folder}/before.csv"),
            ("deleted", f"{folder}/gone.csv"),
        }
    said = f"{closed}: cannot be read by the user that looks, or lies too deep, so what happens there is not seen"
    assert str(looks.trigger.warning(looks.cursor)).startswith(said)
    closed.chmod(0o755)
    (closed / "known.csv").unlink()
    (closed / "new.csv").write_text("1")
    with as_nobody():
        assert {(facts["event"], facts["path"]) for facts in looks.facts()} == {
            ("deleted", f"{closed}/known.csv"),
            ("created", f"{closed}/new.csv"),
        }
    assert looks.trigger.warning(looks.cursor) is None


def test_a_link_into_a_folder_without_rights_is_not_seen(
    folder: Path, closed: Path, watch: Callable[..., Looks]
) -> None:
    (folder / "link.csv").symlink_to(closed / "known.csv")
    looks = watch()
    closed.chmod(0)
    (folder / "link2.csv").symlink_to(closed / "known.csv")
    with as_nobody():
        assert looks.events() == ()
    assert f"{folder}/link.csv and 1 more: cannot be read" in str(looks.trigger.warning(looks.cursor))


def test_a_file_server_that_fails_is_an_error_that_goes_by_and_no_want_of_rights(
    folder: Path, watch: Callable[..., Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "share").mkdir()
    (folder / "share" / "known.csv").write_text("1")
    looks = watch(recursive=True)
    scan = os.scandir

    def stale(path: str) -> Any:
        if Path(path).name == "share":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return scan(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", stale)
        with pytest.raises(SourceUnavailableError, match=f"^{folder}/share: cannot be read: Stale .*; try again later"):
            looks.events()
    assert looks.events() == (), "what was known is known"


def test_a_file_system_that_was_mounted_within_and_is_gone_is_an_error_and_no_deletion(
    folder: Path, watch: Callable[..., Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    share = folder / "share"
    share.mkdir()
    (share / "known.csv").write_text("1")
    mounted = {str(share)}
    is_mount = os.path.ismount
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) in mounted or is_mount(path))
    looks = watch(recursive=True)
    mounted.clear()
    (share / "known.csv").unlink()
    with pytest.raises(SourceMissingError, match=f"^{folder}: nothing is mounted at {share} any more"):
        looks.events()


def test_a_file_in_the_place_of_one_with_the_same_times_is_told_by_its_inode(folder: Path) -> None:
    """Not every file system moves the ctime of what is renamed."""
    (folder / "a.csv").write_text("1")
    observed: Any = files.observe_folder(str(folder), None, recursive=False)
    (mark,) = observed["files"].values()
    assert mark[3] == (folder / "a.csv").stat().st_ino > 0


def test_the_folder_itself_without_rights_is_an_error(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch()
    folder.chmod(0)
    with as_nobody(), pytest.raises(SourceUnreadableError, match=f"^{folder}: may not be read by the user that looks"):
        looks.events()


def test_a_folder_too_deep_to_be_named_hides_no_others(folder: Path, watch: Callable[..., Looks]) -> None:
    looks, here = watch(recursive=True), os.open(folder, os.O_DIRECTORY)
    try:
        for _ in range(20):
            os.mkdir("d" * 250, dir_fd=here)
            below = os.open("d" * 250, os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    (folder / "seen.csv").write_text("1")
    assert [facts["path"] for facts in looks.facts()] == [f"{folder}/seen.csv"]
    assert "lies too deep" in str(looks.trigger.warning(looks.cursor))
