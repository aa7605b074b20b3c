"""The signature of a webhook, as its sender makes it."""

from __future__ import annotations

import hashlib
import hmac


def signature(content: bytes, secret: str) -> str:
    """HMAC-SHA256 over the raw body, in hexadecimal digits."""
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
