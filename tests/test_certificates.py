"""The authorities that clients trust: read once, and anew where the environment names others."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from sluiceway.certificates import trusted


def test_they_are_read_once_for_each_place_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = trusted()
    assert trusted() is first
    authority = Path(certifi.where()).read_text(encoding="ascii").split("-----END CERTIFICATE-----")[0]
    (tmp_path / "own.pem").write_text(f"{authority}-----END CERTIFICATE-----\n", encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    own = trusted()
    assert trusted() is own is not first
    assert (len(own.get_ca_certs()), len(first.get_ca_certs()) > 1) == (1, True)
