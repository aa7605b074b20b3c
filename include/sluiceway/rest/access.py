"""Who may start a run: a role of Airflow's own user management (FAB) that reads and triggers master_etl, nothing else.

It goes through FAB's REST API, as an administrator. Where Airflow leaves users to somebody else (Astro, Google's IAM),
docs/how-to/access.md says what to grant there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sluiceway.errors import AccessError, AirflowApiError
from sluiceway.ids import MASTER
from sluiceway.rest.airflow_api import AirflowApi

ROLE = "CI trigger"
Right = tuple[str, str]
RIGHTS: frozenset[Right] = frozenset(
    {
        ("can_read", f"DAG:{MASTER}"),
        # Airflow asks for it beside can_create to trigger; it also lets the role pause and unpause this one DAG
        ("can_edit", f"DAG:{MASTER}"),
        ("can_read", f"DAG Run:{MASTER}"),
        ("can_create", f"DAG Run:{MASTER}"),
        # Airflow itself adds it to every role each time the API server starts; it opens the UI's empty frame
        ("can_read", "Website"),
    }
)
"""(action, resource) of the role; FAB makes a DAG's two resources when it parses the DAG."""
NOT_FOUND = 404
PARSE_WAIT_S = 60.0
PARSE_POLL_S = 1.0


@dataclass(frozen=True)
class Done:
    """What `setup` did, one sentence each; `password` only when it was generated just now."""

    sentences: tuple[str, ...]
    password: str | None = None


def setup(
    api: AirflowApi, *, user: str | None = None, password: str | None = None, wait_s: float = PARSE_WAIT_S
) -> Done:
    """Bring role and user to what they have to be; what is right already stays untouched.

    :param user: also make a user with that role, and no other
    :param password: the user's password; without one a new user gets a generated one, and an old one keeps its own
    :param wait_s: how long to wait for a DAG that was only just deployed to be parsed
    :raises AccessError: FAB does not manage this Airflow's users, the DAG is not parsed, or the user has other roles.
    """
    sentences = [_set_up_role(api, wait_s)]
    generated = None
    if user is not None:
        sentence, generated = _set_up_user(api, user, password)
        sentences.append(sentence)
    return Done(tuple(sentences), generated)


def _set_up_role(api: AirflowApi, wait_s: float) -> str:
    if not api.has_fab():
        raise AccessError(
            "This Airflow does not manage its users with FAB, so there is no role to set up; "
            "docs/how-to/access.md says what to grant on Astro, Composer and elsewhere."
        )
    found = _found(api, f"roles/{quote(ROLE, safe='')}")
    held = {(right["action"]["name"], right["resource"]["name"]) for right in found["actions"]} if found else set()
    if found and held == RIGHTS:
        return f"The role {ROLE!r} was right already."
    _grant(api, exists=found is not None, wait_s=wait_s)
    if found is None:
        return f"The role {ROLE!r} was created: it reads and triggers {MASTER}."
    return f"The role {ROLE!r} was corrected: {_difference(held)}."


def _grant(api: AirflowApi, *, exists: bool, wait_s: float) -> None:
    body = {"name": ROLE, "actions": [_as_json(right) for right in sorted(RIGHTS)]}
    deadline = time.monotonic() + wait_s
    while True:
        try:
            if exists:
                api.auth("PATCH", f"roles/{quote(ROLE, safe='')}", body)
            else:
                api.auth("POST", "roles", body)
        except AirflowApiError as error:
            if f":{MASTER}" not in str(error):
                raise
            if time.monotonic() > deadline:
                raise AccessError(
                    f"Airflow has not parsed {MASTER}, so nobody can be granted anything on it: deploy the DAGs, look "
                    "for an import error, and run this again."
                ) from error
            time.sleep(PARSE_POLL_S)
        else:
            return


def _set_up_user(api: AirflowApi, user: str, password: str | None) -> tuple[str, str | None]:
    path = f"users/{quote(user, safe='')}"
    found = _found(api, path)
    if found is None:
        chosen = password or secrets.token_urlsafe(24)
        names = {"first_name": "CI", "last_name": "trigger", "email": f"{user}@sluiceway.invalid"}
        api.auth("POST", "users", {"username": user, "roles": [{"name": ROLE}], "password": chosen, **names})
        return f"The user {user!r} was created with that role.", None if password else chosen
    roles = sorted(role["name"] for role in found["roles"] or [])
    if roles != [ROLE]:
        raise AccessError(
            f"The user {user!r} exists with the roles {', '.join(roles) or 'none'} and was left alone: "
            f"name another one, or give it the role {ROLE!r} alone in Airflow's Security menu."
        )
    if password is None or api.accepts(user, password):
        return f"The user {user!r} was right already.", None
    api.auth("PATCH", path, {"password": password}, update_mask="password")
    return f"The user {user!r} got the new password.", None


def _found(api: AirflowApi, path: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = api.auth("GET", path)
    except AirflowApiError as error:
        if error.status == NOT_FOUND:
            return None
        raise
    return found


def _as_json(right: Right) -> dict[str, dict[str, str]]:
    action, resource = right
    return {"action": {"name": action}, "resource": {"name": resource}}


def _difference(held: set[Right]) -> str:
    added = [f"+ {action} on {resource}" for action, resource in sorted(RIGHTS - held)]
    taken = [f"- {action} on {resource}" for action, resource in sorted(held - RIGHTS)]
    return ", ".join(added + taken)
