"""The sensor of one file, on real files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluiceway.errors import ConfigError, SourceMissingError, SourceUnreadableError
from sluiceway.flows.kinds import files
from sluiceway.flows.look import look_now
from sluiceway.sources.connections import from_environment
from tests.flows.looks import Looks, trigger_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder / "orders.csv"


@pytest.fixture
def watch(path: Path) -> Callable[..., Looks]:
    """A sensor that has looked once."""

    def make(**keys: Any) -> Looks:
        looks = Looks(trigger_of(sensor_type="file", **{"path": str(path), "settle_seconds": 0, **keys}))
        assert looks.events() == ()
        return looks

    return make


def test_a_file_that_is_there_at_the_first_look_is_no_event(path: Path, watch: Callable[..., Looks]) -> None:
    path.write_text("1")
    assert watch().events() == ()


def test_a_created_file_is_one_event_with_its_facts(path: Path, watch: Callable[..., Looks]) -> None:
    looks = watch()
    path.write_text("12345")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    new = {"size": 5, "modified_at": "2023-11-14T22:13:20+00:00"}
    assert looks.facts() == [{"event": "created", "path": str(path), "size": 5, "old": None, "new": new}]
    assert looks.events() == ()


def test_a_modified_file_is_an_event_with_what_it_was(path: Path, watch: Callable[..., Looks]) -> None:
    path.write_text("1")
    looks = watch()
    path.write_text("12")
    (facts,) = looks.facts()
    assert (facts["event"], facts["size"], facts["old"]["size"], facts["new"]["size"]) == ("modified", 2, 1, 2)


def test_a_file_of_the_same_size_with_another_date_is_modified(path: Path, watch: Callable[..., Looks]) -> None:
    path.write_text("1")
    looks = watch()
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert [facts["event"] for facts in looks.facts()] == ["modified"]


def test_a_deleted_file_is_an_event_with_its_last_size(path: Path, watch: Callable[..., Looks]) -> None:
    path.write_text("123")
    looks = watch()
    path.unlink()
    (facts,) = looks.facts()
    assert (facts["event"], facts["size"], facts["old"]["size"], facts["new"]) == ("deleted", 3, 3, None)
    assert looks.events() == ()


@pytest.mark.parametrize("event_type", ["created", "modified", "deleted"])
def test_only_the_chosen_type_is_an_event(path: Path, watch: Callable[..., Looks], event_type: str) -> None:
    looks, seen = watch(event_type=event_type), []
    for act in (lambda: path.write_text("1"), lambda: path.write_text("12"), path.unlink):
        act()
        seen += [facts["event"] for facts in looks.facts()]
    assert seen == [event_type]


def test_a_file_put_there_again_with_its_old_date_is_another_event(path: Path, watch: Callable[..., Looks]) -> None:
    looks, original = watch(event_type="created"), path.with_name("original")
    original.write_text("1")
    for _ in range(3):
        shutil.copy2(original, path)
        assert len(looks.events()) == 1
        path.unlink()
        assert looks.events() == ()


def test_a_file_that_still_grows_counts_once_it_has_stopped(path: Path, watch: Callable[..., Looks]) -> None:
    looks = watch(settle_seconds=0.4)
    with path.open("w") as file:
        for _ in range(3):
            file.write("more\n")
            file.flush()
            assert looks.events() == ()
    at = looks.trigger.observe(looks.connections, None)
    assert isinstance(at, dict)
    # half a second later, by the observation's clock
    later = {**at, "at": at["at"] + 0.5}
    look = looks.trigger.compare(later, looks.cursor)
    assert [event.facts["size"] for event in look.events] == [15]
    assert looks.trigger.compare(later, look.cursor).events == ()


HOUR = 3_600 * 10**9


@pytest.mark.parametrize("offset", [HOUR, -HOUR, 0, -(10**20)], ids=["ahead", "behind", "right", "never set"])
def test_a_file_counts_once_it_was_seen_unchanged_whatever_the_clock_of_its_server_says(
    watch: Callable[..., Looks], offset: int
) -> None:
    looks = watch(settle_seconds=10)

    def look(at: float, size: int) -> list[Any]:
        written = round(at * 10**9) + offset if size < 3 else looked[-1]
        looked.append(written)
        return told(looks, at, [size, written, written, 7])

    looked: list[int] = []
    assert told(looks, 0, None) == []
    looked += [5 * 10**9 + offset]
    assert [look(10, 1), look(15, 2), look(20, 2)] == [[], [], []]
    # it grows no more
    assert [look(25, 3), look(30, 3), look(34.999, 3), look(35, 3), look(40, 3)] == [[], [], [], [3], []]


def told(looks: Looks, at: float, mark: list[int] | None) -> list[Any]:
    """The sizes that a look's events tell of."""
    observation: dict[str, Any] = {"at": at, "mounts": ["/"], "files": {} if mark is None else {"orders.csv": mark}}
    found = looks.trigger.compare(observation, looks.cursor if at else None)
    looks.cursor = json.loads(json.dumps(found.cursor))
    return [event.facts["size"] for event in found.events]


@pytest.mark.parametrize("changed", [[2, 1, 1, 1], [1, 2, 1, 1], [1, 1, 2, 1], [1, 1, 1, 2]])
def test_a_file_that_changes_in_whatever_is_known_of_it_has_not_stopped_growing(
    watch: Callable[..., Looks], changed: list[int]
) -> None:
    looks = watch(settle_seconds=10)
    assert [told(looks, 0, None), told(looks, 1, [1, 1, 1, 1]), told(looks, 10, changed)] == [[], [], []]
    assert [told(looks, 19, changed), told(looks, 20, changed)] == [[], [changed[0]]]


@pytest.mark.parametrize("changed", [[2, 1, 1, 1], [1, 2, 1, 1], [1, 1, 2, 1], [1, 1, 1, 2]])
def test_a_file_that_changes_in_whatever_is_known_of_it_is_modified(
    watch: Callable[..., Looks], changed: list[int]
) -> None:
    looks = watch()
    assert [told(looks, 0, [1, 1, 1, 1]), told(looks, 1, changed), told(looks, 2, changed)] == [[], [changed[0]], []]


def test_a_file_counts_by_what_an_earlier_version_has_kept_of_it(watch: Callable[..., Looks]) -> None:
    looks = watch(settle_seconds=10)
    told(looks, 0, [1, 1, 1])
    # inodes are known from now on
    assert [told(looks, 1, [1, 1, 1, 5]), told(looks, 2, [1, 1, 1, 6]), told(looks, 12, [1, 1, 1, 6])] == [[], [], [1]]
    known = looks.cursor["known"]  # type: ignore[call-overload,index]
    known["growing"] = {"orders.csv": [2, 2, 20.0]}
    del known["unseen"]
    assert [told(looks, 29, [2, 2, 2, 6]), told(looks, 30, [2, 2, 2, 6])] == [[], [2]]


def test_a_clock_that_is_set_back_while_a_file_grows_holds_it_up_no_longer_than_it_takes_to_settle(
    watch: Callable[..., Looks],
) -> None:
    looks = watch(settle_seconds=10)
    assert [told(looks, 0, None), told(looks, 9_000, [1, 1, 1, 1]), told(looks, 1_000, [1, 1, 1, 1])] == [[], [], []]
    assert [told(looks, 1_009, [1, 1, 1, 1]), told(looks, 1_010, [1, 1, 1, 1])] == [[], [1]]


def test_a_look_at_what_has_not_come_to_rest_says_when_another_can_tell_more(watch: Callable[..., Looks]) -> None:
    trigger = watch(settle_seconds=10).trigger
    cursor = trigger.compare({"at": 0, "mounts": ["/"], "files": {}}, None).cursor
    grown = {"mounts": ["/"], "files": {"orders.csv": [1, 1, 1, 1]}}
    found = trigger.compare({"at": 1, **grown}, cursor)
    assert found.again_s == 10
    assert trigger.compare({"at": 8, **grown}, found.cursor).again_s == 3
    assert trigger.compare({"at": 11, **grown}, found.cursor).again_s is None


def test_where_nobody_looks_by_himself_one_look_waits_until_a_file_has_settled(path: Path, warehouse_url: str) -> None:
    trigger = trigger_of(sensor_type="file", path=str(path), settle_seconds=0.3)
    assert look_now(warehouse_url, trigger, from_environment) == (0, 0)
    path.write_text("1")
    assert look_now(warehouse_url, trigger, from_environment) == (1, 1)
    assert look_now(warehouse_url, trigger, from_environment) == (0, 1)


@pytest.mark.parametrize("put", [shutil.copy2, os.replace], ids=["cp -p", "mv"])
def test_a_file_replaced_by_one_of_the_same_size_and_date_is_modified(
    path: Path, watch: Callable[..., Looks], put: Callable[[Path, Path], object]
) -> None:
    other = path.with_name("other")
    for each, text in ((path, "1"), (other, "2")):
        each.write_text(text)
        os.utime(each, (1_700_000_000, 1_700_000_000))
    looks = watch()
    put(other, path)
    assert (path.stat().st_size, path.stat().st_mtime) == (1, 1_700_000_000)
    assert [facts["event"] for facts in looks.facts()] == ["modified"]
    assert looks.events() == ()


def test_a_number_of_an_inode_that_is_made_up_at_each_look_does_not_count(
    path: Path, watch: Callable[..., Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("1")
    assert path.stat().st_dev not in files._renumbering_devices()
    # as on a bucket that is mounted by FUSE: the type in mountinfo decides
    line = (
        f"36 35 {os.major(path.stat().st_dev)}:{os.minor(path.stat().st_dev)} / /in rw shared:9 - fuse.gcsfuse own rw"
    )
    monkeypatch.setattr(Path, "read_text", lambda self, **_: line)
    assert files._renumbering_devices() == {path.stat().st_dev}
    observed = watch().trigger.observe(from_environment, None)
    assert isinstance(observed, dict)
    assert observed["files"]["orders.csv"][3] == 0  # type: ignore[call-overload,index]


def test_a_cursor_stays_the_same_while_nothing_changes(path: Path, watch: Callable[..., Looks]) -> None:
    looks = watch(settle_seconds=1000)
    path.write_text("1")
    looks.events()
    before = looks.cursor
    looks.events()
    assert looks.cursor == before


def test_a_folder_that_is_gone_is_an_error_and_no_deletion(path: Path, watch: Callable[..., Looks]) -> None:
    path.write_text("1")
    looks = watch()
    path.parent.rename(path.parent.with_name("inn"))
    with pytest.raises(SourceMissingError, match=rf"^{path.parent}: there is no such folder; did you mean 'inn'\?$"):
        looks.events()
    path.parent.with_name("inn").rename(path.parent)
    assert looks.events() == ()


def test_a_folder_in_place_of_the_file_is_an_error(path: Path, watch: Callable[..., Looks]) -> None:
    looks = watch()
    path.mkdir()
    with pytest.raises(SourceUnreadableError, match="is no file; watch it with sensor_type = 'directory'"):
        looks.events()


def test_another_path_in_the_file_begins_anew(path: Path, watch: Callable[..., Looks]) -> None:
    path.write_text("1")
    looks = watch()
    looks.trigger = trigger_of(sensor_type="file", path=str(path.with_name("other.csv")), settle_seconds=0)
    assert looks.events() == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("/data/../etc/passwd", r"without '\.\.'"),
        ("data/in.csv", "whole path"),
        ("", "whole path"),
        ("/data/in\0.csv", "NUL"),
    ],
)
def test_a_path_that_is_not_one_place_is_refused(wrong: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        trigger_of(sensor_type="file", path=wrong)


@pytest.mark.parametrize(
    "name", ["a'; DROP TABLE x; --.csv", "ünï 数.csv", 'q"uo`te$(x).csv', "..csv", "a\nb", "*?[x]"]
)
def test_a_name_is_taken_as_it_is(path: Path, watch: Callable[..., Looks], name: str) -> None:
    strange = path.with_name(name)
    looks = watch(path=str(strange))
    path.with_name("a.csv").write_text("another")
    assert looks.events() == ()
    strange.write_text("1")
    assert [facts["path"] for facts in looks.facts()] == [str(strange)]
