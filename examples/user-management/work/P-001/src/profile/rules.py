"""What a field of a profile may hold."""

from __future__ import annotations

from urllib.parse import urlsplit

from contracts.types.errors import InvalidProfileError
from contracts.types.profile import Profile

__all__ = ["checked"]

_NAME_LENGTH = 50
_BIO_LENGTH = 280
_WEBSITE_LENGTH = 200


def checked(profile: Profile) -> Profile:
    """Return the profile with its texts stripped.

    Raises:
        InvalidProfileError: a field breaks a rule; the message names the field.
    """
    name, bio, website = profile.display_name.strip(), profile.bio.strip(), profile.website.strip()
    if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
        raise InvalidProfileError(f"a name has 1 to {_NAME_LENGTH} characters on one line")
    if len(bio) > _BIO_LENGTH:
        raise InvalidProfileError(f"a bio has at most {_BIO_LENGTH} characters")
    if website and not _is_web_address(website):
        raise InvalidProfileError(f"{website!r} is not a web address; it starts with https:// or http://")
    return Profile(user_id=profile.user_id, display_name=name, bio=bio, website=website)


def _is_web_address(text: str) -> bool:
    if len(text) > _WEBSITE_LENGTH or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:  # such as a bracket that is never closed
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
