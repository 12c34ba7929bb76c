"""Files that nobody should find in a repository by surprise: secrets, by name or content, and very large ones. Pure."""

from __future__ import annotations

import re

__all__ = ["LOOKED_AT", "remark_on"]

LOOKED_AT = 64 * 1024
"""How many of a file's first bytes are looked at."""

_LARGE = 16 * 1024 * 1024  # bytes; git keeps every version of a file for ever
_EXAMPLES = (".example", ".sample", ".template", ".dist")
_SECRET_NAME = re.compile(
    r"\.env(\..+)?|.+\.(pem|key|p12|pfx|jks|keystore|kdbx)|id_(rsa|dsa|ecdsa|ed25519)|\.(netrc|pgpass|pypirc|htpasswd)"
    r"|credentials(\.json|\.ya?ml)?|service[-_]account.*\.json",
    re.IGNORECASE,
)
# The published forms of keys and tokens; each is long enough not to be met by chance.
_SECRET_TEXT = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=:\s-]{40}"
    rb"|\bAKIA[0-9A-Z]{16}\b|\bsk-ant-[A-Za-z0-9_-]{20,}|\bgh[pousr]_[A-Za-z0-9]{36}|\bxox[abpr]-[A-Za-z0-9-]{20,}"
    rb"|\bAIza[0-9A-Za-z_-]{35}\b"
)


def remark_on(path: str, size: int, start: bytes) -> str:
    """Return why a new file should not be taken in without a word; empty if nothing speaks against it.

    `size` is in bytes, `start` the file's first `LOOKED_AT` bytes.
    """
    name = path.rpartition("/")[2]
    if _SECRET_NAME.fullmatch(name) and not name.lower().endswith(_EXAMPLES):
        return "its name is one that secrets have"
    if _SECRET_TEXT.search(start):
        return "it holds what looks like a key or a token"
    if size > _LARGE:
        return f"it has {size / 1024 / 1024:.0f} MiB"
    return ""
