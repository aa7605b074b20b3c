"""Passwords and keys of the local stack: made once, kept in files only their owner can read."""

import base64
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace `path` with `text`, mode 0600 from the first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


@dataclass(frozen=True)
class Credentials:
    """The secrets under one folder, one file each."""

    folder: Path

    def password(self, name: str) -> str:
        """URL-safe, so that it needs no quoting in a connection string."""
        return self._get(name, lambda: secrets.token_urlsafe(24))

    def fernet_key(self) -> str:
        return self._get("fernet", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())

    def signing_key(self, name: str) -> str:
        return self._get(name, lambda: secrets.token_hex(32))

    def _get(self, name: str, make: Callable[[], str]) -> str:
        path = self.folder / name
        if not path.exists():
            write_private(path, make())
        return path.read_text(encoding="utf-8")
