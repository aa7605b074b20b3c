"""Settings: SLUICEWAY_ variables, then the local stack's file, then the defaults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import SettingsError
from sluiceway.settings import Settings, check_variables, load_settings

Setting = Callable[..., None]


def test_without_a_variable_every_field_has_its_default(setting: Setting) -> None:
    setting(private_hosts="")
    assert load_settings() == Settings()


def test_a_variable_sets_its_field(setting: Setting) -> None:
    setting(history_days=7, groups="quickstart", warehouse_url="postgresql://me@host/db")
    found = load_settings()
    assert (found.history_days, found.groups, found.warehouse_url) == (7, "quickstart", "postgresql://me@host/db")


def test_an_empty_variable_is_one_that_is_not_set(setting: Setting) -> None:
    setting(history_days="", warehouse_url="")
    assert (load_settings().history_days, load_settings().warehouse_url) == (90, None)


@pytest.mark.parametrize("value", ["soon", "0", "-3", "1.5"])
def test_a_wrong_value_names_its_field(setting: Setting, value: str) -> None:
    setting(history_days=value)
    with pytest.raises(SettingsError, match=r"A SLUICEWAY_ variable is wrong.*history_days"):
        try:
            load_settings()
        except SettingsError as error:
            raise SettingsError(" ".join(str(error).split())) from error


def test_the_local_stacks_file_is_read(setting: Setting, tmp_path: Path) -> None:
    file = tmp_path / "stack.env"
    file.write_text("SLUICEWAY_GROUPS=quickstart\nSLUICEWAY_WAREHOUSE_URL=postgresql://a@b/c?x=y\nHOME=/none\n\n")
    setting(env_file=file)
    found = load_settings()
    assert (found.groups, found.warehouse_url) == ("quickstart", "postgresql://a@b/c?x=y")


def test_a_variable_wins_over_the_local_stacks_file(setting: Setting, tmp_path: Path) -> None:
    file = tmp_path / "stack.env"
    file.write_text("SLUICEWAY_GROUPS=quickstart\nSLUICEWAY_HISTORY_DAYS=3\n")
    setting(env_file=file, groups="census")
    assert (load_settings().groups, load_settings().history_days) == ("census", 3)


def test_a_missing_warehouse_says_how_to_name_one(setting: Setting) -> None:
    setting()
    with pytest.raises(SettingsError, match=r"pass --warehouse .*set SLUICEWAY_WAREHOUSE_URL.*`make up`"):
        load_settings().require_warehouse_url()


@pytest.mark.parametrize(
    ("groups", "group", "runs"),
    [
        ("", "warehouse", True),
        ("", "quickstart", False),
        ("quickstart", "quickstart", True),
        ("quickstart", "warehouse", False),
        (" a , b ", "b", True),
        (",", "quickstart", False),
    ],
)
def test_a_deployment_runs_its_groups_only(groups: str, group: str, runs: bool) -> None:
    assert Settings(groups=groups).runs_group(group) is runs


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("GROUP", "GROUPS"), ("HISTORY_DAY", "HISTORY_DAYS"), ("WAREHOUSE_URI", "WAREHOUSE_URL"), ("groups", "GROUPS")],
)
def test_a_variable_that_nobody_reads_is_named_with_the_nearest(
    name: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SLUICEWAY_{name}", "x")
    with pytest.raises(
        SettingsError, match=rf"SLUICEWAY_{name}: no such setting; did you mean 'SLUICEWAY_{nearest}'\?"
    ):
        check_variables()


def test_a_variable_that_is_like_none_is_named_and_so_is_one_of_the_local_stacks_file(
    setting: Setting, tmp_path: Path
) -> None:
    file = tmp_path / "stack.env"
    file.write_text("SLUICEWAY_ZZZ=geheim\n")
    setting(env_file=file)
    with pytest.raises(SettingsError, match=r"^SLUICEWAY_ZZZ: no such setting\. Correct or unset it; docs/") as caught:
        check_variables()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "ENV_FILE",
        "STACK",
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_8080_TCP",
        "PORT_8080_TCP_ADDR",
        "API_SERVER_SERVICE_HOST",
        "API_SERVER_PORT_8080_TCP_PROTO",
    ],
)
def test_what_others_set_for_a_service_of_that_name_is_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SLUICEWAY_{name}", "x")
    check_variables()


def test_an_odd_variable_keeps_no_dag_from_being_read(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    monkeypatch.setenv("SLUICEWAY_GROUP", "x")
    setting(private_hosts="")
    assert load_settings() == Settings()
