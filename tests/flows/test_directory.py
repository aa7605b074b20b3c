"""The sensor of a folder, on real files: one event each, and a folder that cannot be seen is no deletion."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluiceway.errors import ConfigError, SourceMissingError, SourceUnreadableError
from sluiceway.flows.kinds import files
from sluiceway.flows.kinds.storable import LONGEST_KEY
from tests.flows.looks import Looks, trigger_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


@pytest.fixture
def watch(folder: Path) -> Callable[..., Looks]:
    """A sensor that has looked once."""

    def make(**keys: Any) -> Looks:
        looks = Looks(trigger_of(sensor_type="directory", **{"path": str(folder), "settle_seconds": 0, **keys}))
        assert looks.events() == ()
        return looks

    return make


def seen(looks: Looks) -> set[tuple[str, str]]:
    """Event and path within the folder."""
    base = looks.trigger.config.path
    return {(facts["event"], os.path.relpath(facts["path"], base)) for facts in looks.facts()}


def test_a_thousand_files_are_a_thousand_events(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch()
    for number in range(1000):
        (folder / f"{number}.csv").write_text(str(number))
    facts = looks.facts()
    assert {each["path"] for each in facts} == {str(folder / f"{number}.csv") for number in range(1000)}
    assert len(facts) == 1000
    assert looks.events() == ()


def test_a_thousand_files_dropped_between_looks_are_each_seen_once(folder: Path, watch: Callable[..., Looks]) -> None:
    looks, paths = watch(event_type="created"), []
    for start in range(0, 1000, 40):
        for number in range(start, start + 40):
            (folder / f"{number}.csv").write_text(str(number))
        paths += [facts["path"] for facts in looks.facts()]
    assert (len(paths), len(set(paths))) == (1000, 1000)


def test_created_modified_and_deleted_are_told_apart(folder: Path, watch: Callable[..., Looks]) -> None:
    (folder / "old.csv").write_text("1")
    (folder / "gone.csv").write_text("1")
    (folder / "same.csv").write_text("1")
    looks = watch()
    (folder / "old.csv").write_text("12")
    (folder / "gone.csv").unlink()
    (folder / "new.csv").write_text("1")
    assert seen(looks) == {("modified", "old.csv"), ("deleted", "gone.csv"), ("created", "new.csv")}


def test_events_come_oldest_first(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch()
    for day, name in enumerate(["c", "a", "b"]):
        (folder / name).write_text("1")
        os.utime(folder / name, (1_700_000_000 + day, 1_700_000_000 + day))
    assert [Path(facts["path"]).name for facts in looks.facts()] == ["c", "a", "b"]


def test_only_names_that_match_count(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch(pattern="*.csv")
    for name in ("a.csv", "a.csv.part", ".b.csv", "A.CSV", "a.txt"):
        (folder / name).write_text("1")
    assert seen(looks) == {("created", "a.csv")}


def test_sub_folders_count_when_they_are_told_to(folder: Path, watch: Callable[..., Looks]) -> None:
    flat, deep = watch(), watch(recursive=True)
    (folder / "x" / "y").mkdir(parents=True)
    (folder / "x" / "y" / "a.csv").write_text("1")
    (folder / "b.csv").write_text("1")
    assert seen(flat) == {("created", "b.csv")}
    assert seen(deep) == {("created", "b.csv"), ("created", "x/y/a.csv")}


def test_files_of_a_sub_folder_that_was_removed_are_deleted(folder: Path, watch: Callable[..., Looks]) -> None:
    (folder / "x").mkdir()
    (folder / "x" / "a.csv").write_text("1")
    looks = watch(recursive=True)
    (folder / "x" / "a.csv").unlink()
    (folder / "x").rmdir()
    assert seen(looks) == {("deleted", "x/a.csv")}


def test_links_that_leave_the_folder_are_not_followed(folder: Path, watch: Callable[..., Looks]) -> None:
    outside = folder.parent / "in2"
    outside.mkdir()
    (outside / "secret.csv").write_text("1")
    looks = watch(recursive=True)
    (folder / "file.csv").symlink_to(outside / "secret.csv")
    (folder / "dotted.csv").symlink_to("../in2/secret.csv")
    (folder / "folder").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "broken.csv").symlink_to(folder / "none.csv")
    (folder / "own.csv").write_text("1")
    (folder / "inside.csv").symlink_to(folder / "own.csv")
    assert seen(looks) == {("created", "own.csv"), ("created", "inside.csv")}


def test_what_is_no_file_does_not_count(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch(recursive=True)
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    assert looks.events() == ()


def test_a_folder_that_is_gone_is_an_error_and_no_deletion(folder: Path, watch: Callable[..., Looks]) -> None:
    (folder / "a.csv").write_text("1")
    looks = watch()
    folder.rename(folder.with_name("moved"))
    with pytest.raises(SourceMissingError, match=rf"^{folder}: there is no such folder$"):
        looks.events()
    folder.write_text("a file now")
    with pytest.raises(SourceUnreadableError, match=rf"^{folder}: is no folder$"):
        looks.events()


def test_a_mount_that_vanished_is_an_error_and_no_deletion(watch: Callable[..., Looks]) -> None:
    trigger = trigger_of(sensor_type="directory", path="/mnt/in/orders")
    full = {"at": 1.0, "mounts": ["/mnt/in"], "files": {f"{number}.csv": [1, 1, 1] for number in range(1000)}}
    cursor = trigger.compare(full, None).cursor
    with pytest.raises(SourceMissingError, match=r"^/mnt/in/orders: nothing is mounted at /mnt/in any more"):
        trigger.compare({"at": 2.0, "mounts": ["/"], "files": {}}, cursor)
    assert trigger.compare({**full, "at": 3.0}, cursor).events == ()


def test_a_mount_below_that_vanished_is_an_error(watch: Callable[..., Looks]) -> None:
    trigger = trigger_of(sensor_type="directory", path="/in", recursive=True)
    cursor = trigger.compare({"at": 1.0, "mounts": ["/", "/in/x"], "files": {"x/a": [1, 1, 1]}}, None).cursor
    with pytest.raises(SourceMissingError, match="nothing is mounted at /in/x any more"):
        trigger.compare({"at": 2.0, "mounts": ["/"], "files": {}}, cursor)


def test_what_a_late_mount_brings_was_there_already(watch: Callable[..., Looks]) -> None:
    trigger = trigger_of(sensor_type="directory", path="/mnt/in", settle_seconds=0)
    cursor = trigger.compare({"at": 1.0, "mounts": ["/"], "files": {}}, None).cursor
    mounted = {"at": 2.0, "mounts": ["/mnt"], "files": {"a": [1, 1, 1]}}
    look = trigger.compare(mounted, cursor)
    assert look.events == ()
    more = {**mounted, "files": {"a": [1, 1, 1], "b": [1, 1, 1]}}
    assert len(trigger.compare(more, look.cursor).events) == 1


def test_the_mount_of_a_folder_is_found() -> None:
    observed = files.observe_folder("/dev/shm", "no such file", recursive=False)
    assert isinstance(observed, dict)
    assert observed["mounts"] == ["/dev/shm"]


def test_more_files_than_can_be_kept_are_an_error(
    folder: Path, watch: Callable[..., Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 3)
    looks = watch()
    for number in range(3):
        (folder / f"{number}.csv").write_text("1")
    assert len(looks.facts()) == 3
    (folder / "3.csv").write_text("1")
    with pytest.raises(SourceUnreadableError, match="holds more than 3 files that match; narrow pattern"):
        looks.events()


STRANGE = ["a'; DROP TABLE x; --", 'b"$(rm -rf .)`id`', "c%s%(x)s{0}", "ünï 数 🌊", "d\ne", "-rf", "[ab]*", "f\\..\\g"]


@pytest.mark.parametrize("name", STRANGE)
def test_a_name_is_taken_as_it_is(folder: Path, watch: Callable[..., Looks], name: str) -> None:
    looks = watch()
    (folder / name).write_text("1")
    assert [facts["path"] for facts in looks.facts()] == [str(folder / name)]


def test_a_name_of_bytes_that_are_no_text_can_be_kept(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch()
    for name in (b"caf\xe9.csv", b"caf\xe8.csv"):
        (Path(os.fsdecode(bytes(folder) + b"/" + name))).write_text("1")
    facts = looks.facts()
    assert {each["path"] for each in facts} == {f"{folder}/caf\\xe9.csv", f"{folder}/caf\\xe8.csv"}
    json.dumps([facts, looks.cursor], ensure_ascii=False).encode()


def test_the_keys_of_long_paths_fit_an_index_and_differ(folder: Path, watch: Callable[..., Looks]) -> None:
    looks = watch(recursive=True)
    deep = folder.joinpath(*["ü" * 100] * 8)
    deep.mkdir(parents=True)
    for name in ("a", "b"):
        (deep / name).write_text("1")
    keys = [event.key for event in looks.events()]
    assert len(set(keys)) == 2
    assert max(len(key.encode()) for key in keys) < 2 * LONGEST_KEY


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "sub/*.csv", "", "a\0b"])
def test_a_pattern_that_could_leave_the_folder_is_refused(folder: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="pattern"):
        trigger_of(sensor_type="directory", path=str(folder), pattern=pattern)


def test_dots_as_a_pattern_match_nothing(folder: Path, watch: Callable[..., Looks]) -> None:
    (folder.parent / "beside.csv").write_text("1")
    looks = watch(pattern="..", recursive=True)
    (folder.parent / "beside.csv").write_text("12")
    assert looks.events() == ()


def test_siblings_of_one_folder_share_an_observation() -> None:
    one = trigger_of(id="a", sensor_type="directory", path="/in", event_type="created", poll_s=5)
    two = trigger_of(id="b", flow_id="g", sensor_type="directory", path="/in/", event_type="deleted", settle_seconds=1)
    other = trigger_of(sensor_type="directory", path="/in", pattern="*.csv")
    assert one.place() == two.place() != other.place()
