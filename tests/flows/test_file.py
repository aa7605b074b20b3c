"""The sensor of one file, on real files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluiceway.errors import ConfigError, SourceMissingError, SourceUnreadableError
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


def test_a_file_whose_server_has_a_fast_clock_counts_once_it_was_seen_unchanged(
    path: Path, watch: Callable[..., Looks]
) -> None:
    looks = watch(settle_seconds=10)

    def look(at: float, size: int) -> list[Any]:
        hour_ahead = 3_600 * 10**9
        observation = {"at": at, "mounts": ["/"], "files": {"orders.csv": [size, hour_ahead, hour_ahead]}}
        found = looks.trigger.compare(observation, looks.cursor)
        looks.cursor = found.cursor
        return [event.facts["size"] for event in found.events]

    looks.cursor = looks.trigger.compare({"at": 0, "mounts": ["/"], "files": {}}, None).cursor
    assert [look(10, 1), look(15, 2), look(20, 2), look(26, 2), look(30, 2)] == [[], [], [], [2], []]


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
