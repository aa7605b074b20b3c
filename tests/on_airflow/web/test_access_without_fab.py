"""`sluiceway access setup` against an Airflow whose users FAB does not manage: the real SimpleAuthManager."""

from __future__ import annotations

import pytest

from sluiceway.errors import AccessError
from sluiceway.rest import access
from sluiceway.rest.airflow_api import AirflowApi


def test_without_fab_setup_is_one_sentence_that_says_where_to_look(server: str) -> None:
    with (
        AirflowApi(server, "reader", "reads") as api,
        pytest.raises(AccessError, match=r"does not manage its users with FAB.*docs/how-to/access\.md") as refused,
    ):
        access.setup(api, user="ci")
    assert "\n" not in str(refused.value)
