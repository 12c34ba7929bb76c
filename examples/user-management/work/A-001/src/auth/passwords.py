"""Passwords are kept as salted scrypt hashes; each hash says how it was made, so the cost can grow later."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

__all__ = ["DEFAULT_COST", "ScryptCost", "hash_password", "verify_password"]

_SALT_BYTES = 16
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ScryptCost:
    """How hard a hash is to compute; the defaults take 16 MiB and a fraction of a second."""

    n: int = 2**14
    r: int = 8
    p: int = 5


DEFAULT_COST = ScryptCost()


def hash_password(password: str, cost: ScryptCost) -> str:
    """Return `scrypt$n$r$p$salt$hash` with a fresh salt; salt and hash in base 64."""
    salt = secrets.token_bytes(_SALT_BYTES)
    parts = (_encode(salt), _encode(_scrypt(password, salt, cost)))
    return "$".join(("scrypt", str(cost.n), str(cost.r), str(cost.p), *parts))


def verify_password(password: str, stored: str) -> bool:
    """Tell whether `stored` was made from this password; the time does not depend on how much is right."""
    _, n, r, p, salt, expected = stored.split("$")
    actual = _scrypt(password, base64.b64decode(salt), ScryptCost(n=int(n), r=int(r), p=int(p)))
    return hmac.compare_digest(actual, base64.b64decode(expected))


def _scrypt(password: str, salt: bytes, cost: ScryptCost) -> bytes:
    memory = 128 * cost.r * (cost.n + cost.p + 2)  # what the algorithm needs; OpenSSL's own limit is 32 MiB
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=memory, dklen=_HASH_BYTES
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
