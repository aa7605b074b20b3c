"""alerts.toml wrong in each way is one sentence that says where, what and what to write."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sluiceway.alerts.spec import AlertsSpec, read_alerts, read_file
from sluiceway.errors import ConfigError
from tests.alerts.conftest import Alerts

GOOD = """\
heartbeat = "dead_mans_switch"

[alerts.on_call]
tell_of = ["red", "stale"]
connection = "on_call"
tables = ["landiq_crop", "us_*"]
dags = ["master_etl"]
after = "10min"
remind_every = "4h"

[alerts.chat]
tell_of = ["dead_letters"]
notifier = "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier"
arguments = { slack_webhook_conn_id = "slack", text = "{subject}" }
"""
ONE = '[alerts.team]\ntell_of = ["red"]\nconnection = "team"\n'


def said(folder: Path, text: str) -> str:
    """The sentence about a file, without its path."""
    path = folder / "alerts.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_file(path)
    return str(raised.value).removeprefix(f"{path}: ")


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text(GOOD)
    spec = read_file(tmp_path / "alerts.toml")
    assert list(spec.alerts) == ["on_call", "chat"]
    assert spec.tells_of("stale")
    assert not spec.tells_of("blind")


def test_without_a_file_nobody_is_told(alerts: Alerts, deployment: Path) -> None:
    (deployment / "alerts.toml").unlink()
    assert read_alerts() == AlertsSpec()
    assert alerts("check").exit_code == 0
    result = alerts("run")
    assert result.exit_code == 2
    assert "so nobody is told of anything; docs/how-to/alerts.md has one." in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("alerts = 1", "alerts: each alert is a table of its own; write [alerts.NAME]"),
        ("[alerts]\nteam = 1", "alerts: each alert is a table of its own; write [alerts.NAME]"),
        ("[alert.team]", "alert: no such key; did you mean 'alerts'?"),
        (f'{ONE}name = "x"', "alerts.team.name: an alert is named by its table; remove the key"),
        (f'{ONE}url = "slack://a/b/c"', "alerts.team.url = ***: an address may hold a secret: put it into an Airflow "
         "connection, and write that connection's id here"),
        (f'{ONE}remind = "2h"', "alerts.team.remind: no such key; did you mean 'remind_every'?"),
        (f'{ONE}remind_every = "often"', "alerts.team.remind_every = 'often': 'often' is no span of time; write a "
         "number with s, m, h or d, such as 45m, 26h or 2d"),
        ('[alerts.team]\nconnection = "team"', "alerts.team.tell_of: is missing; add it"),
        ('[alerts.team]\nconnection = "team"\ntell_of = ["stall"]', "alerts.team.tell_of.0 = 'stall': is not one of "
         "red, stale, waiting, blind, dead_letters; did you mean 'stale'?"),
        ('[alerts.team]\nconnection = "team"\ntell_of = []', "alerts.team: tell_of is empty; write "
         "some of red, stale, waiting, blind, dead_letters"),
        ('[alerts.team]\ntell_of = ["red"]', "alerts.team: needs either a connection, which holds an Apprise address, "
         "or a notifier; write one"),
        (f'{ONE}notifier = "a.B"', "alerts.team: needs either a connection, which holds an Apprise address, or a "
         "notifier; write one"),
        (f'{ONE}arguments = {{ text = "{{body}}" }}', "alerts.team: arguments are a notifier's; with a connection, "
         "remove them"),
        ('[alerts.team]\ntell_of = ["red"]\nnotifier = "Notifier"', "alerts.team.notifier = 'Notifier': is no class; "
         "write its module and its name, such as package.module.Notifier"),
        ('[alerts.team]\ntell_of = ["red"]\nnotifier = "a.B"\narguments = { text = "x" }', "alerts.team: no argument "
         "of the notifier says {subject} or {body}, so it would tell nothing"),
        ('[alerts.team]\ntell_of = ["red"]\nnotifier = "a.B"\narguments = { text = "{body}", token = "x" }',
         "alerts.team: arguments.token holds a secret; name the Airflow connection that holds it instead"),
        ('[alerts.team]\ntell_of = ["red"]\nconnection = "json://hook"', "alerts.team.connection = ***: is no "
         "connection's id; define the connection in Airflow and write its id, never an address"),
        ('heartbeat = "https://hc-ping.com/x"', "heartbeat = ***: is no connection's id; define the connection in "
         "Airflow and write its id, never an address"),
        ('[alerts."1 2"]\ntell_of = ["red"]\nconnection = "x"', "alerts.1 2.name = '1 2': is no name; write letters, "
         "digits, _ and -, beginning with a letter"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    assert said(tmp_path, text) == sentence


def test_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    assert said(tmp_path, "[alerts.team\n").startswith("is not valid TOML: ")


def test_check_refuses_a_filter_that_matches_nothing(alerts: Alerts, deployment: Path) -> None:
    (deployment / "alerts.toml").write_text(f'{ONE}tables = ["city_01", "city_1", "town_*"]\ndags = ["master_elt"]\n')
    result = alerts("check")
    assert result.exit_code == 2
    assert [line.partition("alerts.toml: ")[2] for line in result.stderr.splitlines()] == [
        "alerts.team.tables = 'city_1': matches none; did you mean 'city_19'?",
        next(line for line in result.stderr.splitlines() if "town_*" in line).partition("alerts.toml: ")[2],
        "alerts.team.dags = 'master_elt': matches none; did you mean 'master_etl'?",
    ]
    (deployment / "alerts.toml").write_text(f'{ONE}tables = ["city_0*"]\ndags = ["master_etl"]\n')
    assert alerts("check").stdout == "1 file is valid.\n"


def test_check_names_each_known_dag_once(alerts: Alerts, deployment: Path) -> None:
    (deployment / "flows" / "master_etl.toml").write_text("")
    (deployment / "alerts.toml").write_text(f'{ONE}dags = ["nodag"]\n')
    assert alerts("check").stderr.endswith("alerts.team.dags = 'nodag': matches none; known: master_etl\n")


NOTIFIED = '[alerts.chat]\ntell_of = ["red"]\nnotifier = "{}"\narguments = {{ text = "{{body}}" }}\n'
NOTIFIERS = "airflow.providers.smtp.notifications.smtp"


@pytest.mark.parametrize(
    ("notifier", "said"),
    [
        ("airflow.providers.nowhere.Notifier", "there is no module airflow.providers.nowhere; install its provider"),
        (f"{NOTIFIERS}.SmtpNotifer", f"{NOTIFIERS} has no SmtpNotifer; did you mean 'SmtpNotifier'?"),
        ("pathlib.Path", "Path is no notifier of Airflow, a class of BaseNotifier"),
        ("airflow.sdk.bases.notifier.BaseNotifier", "BaseNotifier is no notifier of Airflow"),
        ("pathlib.Nothing", "pathlib has no Nothing"),
        ("falls_over.Notifier", "falls_over cannot be imported: ZeroDivisionError: division by zero"),
        ("lacks_a_part.Notifier", "lacks_a_part cannot be imported: No module named 'not_installed'"),
    ],
)
def test_check_refuses_a_notifier_that_is_none(
    notifier: str, said: str, alerts: Alerts, deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(deployment)
    (deployment / "falls_over.py").write_text("1 / 0")
    (deployment / "lacks_a_part.py").write_text("import not_installed")
    (deployment / "alerts.toml").write_text(NOTIFIED.format(notifier))
    result = alerts("check")
    assert result.exit_code == 2
    assert f"alerts.chat.notifier = '{notifier}': {said}" in result.stderr


def test_check_takes_a_notifier_of_airflow_and_says_where_it_could_not_be_looked_at(
    alerts: Alerts, deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (deployment / "alerts.toml").write_text(NOTIFIED.format(f"{NOTIFIERS}.SmtpNotifier"))
    result = alerts("check")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "1 file is valid.\n", "")
    monkeypatch.setitem(sys.modules, "airflow", None)  # as where it is not installed
    result = alerts("check")
    assert (result.exit_code, result.stdout) == (0, "1 file is valid.\n")
    assert "The notifier of chat was not looked at: there is no Airflow here." in " ".join(result.stderr.split())
