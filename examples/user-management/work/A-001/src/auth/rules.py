"""What is an address, and what is a password worth having."""

from __future__ import annotations

import re
import unicodedata

from contracts.types.errors import InvalidEmailError, WeakPasswordError

__all__ = ["checked_email", "checked_password", "normal_email", "normal_password"]

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_EMAIL_LENGTH = 254
_PASSWORD_LENGTH = range(10, 1025)  # the upper end keeps one request from hashing megabytes


def normal_email(email: str) -> str:
    """Return the form under which an address is stored and looked up."""
    return email.strip().casefold()


def normal_password(password: str) -> str:
    """Return the same text for the same password, however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)


def checked_email(email: str) -> str:
    """Return the address in normal form.

    Raises:
        InvalidEmailError: it is no address.
    """
    normal = normal_email(email)
    if len(normal) > _EMAIL_LENGTH or not _EMAIL.fullmatch(normal):
        raise InvalidEmailError(f"{email!r} is not an e-mail address")
    return normal


def checked_password(password: str, email: str) -> str:
    """Return the password in normal form.

    Raises:
        WeakPasswordError: it is too short, too long, or the address.
    """
    normal = normal_password(password)
    if len(normal) not in _PASSWORD_LENGTH:
        raise WeakPasswordError(f"a password has {_PASSWORD_LENGTH[0]} to {_PASSWORD_LENGTH[-1]} characters")
    if normal.casefold() == email:
        raise WeakPasswordError("the address is no password")
    return normal
