"""Who holds what: grants with generations, decided one request at a time.

A shared map cannot exclude: two agents that each write their id, sync and read back can both find themselves.
So one granter decides, with these functions, and every grant to a new holder carries a greater *generation*.
The generation is a fencing token: work handed in under an older one is refused, however late it arrives.

The states and the moves between them::

    (nothing) --a--> OPEN --b--> HELD --c--> SUBMITTED --d--> DONE | FAILED | BLOCKED | CANCELLED
                      ^           |              |
                      +-----e-----+------e-------+

    a  the key is opened
    b  a request is granted; the generation grows by one
    c  the holder handed its work in
    d  the work ended; landed work comes this way
    e  the key is taken back; its generation stays, so that of the next holder is greater

HELD may also end straight (d), and every state but HELD may be reached by `release`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.errors import BoardError

__all__ = [
    "LEASE",
    "MARGIN",
    "Grant",
    "GrantState",
    "Request",
    "accepts",
    "decide",
    "is_current",
    "release",
    "standing",
]

LEASE = 30.0
"""Seconds for which a grant holds unless it is renewed: for its holder from when it asked, for the granter from when it
granted, which is later. Holders renew after a quarter of it."""
MARGIN = 0.1
"""The part of a lease by which its holder stops earlier, since clocks may run at different rates."""


class GrantState(StrEnum):
    """Where a claimed key stands."""

    OPEN = "open"  # anybody may ask for it
    HELD = "held"  # its holder works on it
    SUBMITTED = "submitted"  # handed in; no later submission is taken
    DONE = "done"  # landed, or a TODO that its holder finished
    FAILED = "failed"  # given up
    BLOCKED = "blocked"  # what it needs will not come
    CANCELLED = "cancelled"  # no longer wanted

    @property
    def live(self) -> bool:
        """Tell whether somebody's work on it still counts."""
        return self in (GrantState.HELD, GrantState.SUBMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the granter last decided about one key.

    `gen` counts the holders it ever had; 0 is nobody yet. `holder` is who has it, or had it when it ended;
    None while it is open. `nonce` is the last request that was granted, kept after a release so that it is
    not granted twice. `reserved` is the only one who may ask for it; None if everybody may.
    """

    gen: int = 0
    holder: str | None = None
    nonce: str | None = None
    state: GrantState = GrantState.OPEN
    commit: str | None = None
    note: str = ""
    reserved: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One wish to hold a key; `nonce` is different for every request ever made."""

    holder: str
    nonce: str


def decide(grant: Grant | None, request: Request, *, lapsed: bool = False) -> tuple[Grant, bool]:
    """Return the grant after a request, and whether the request was granted.

    A free key goes to whoever asks, with the next generation, and so does a held one whose lease has `lapsed`. Its
    holder, asking again, keeps it under the same generation (a renewal, or a request that was delivered twice).
    Anybody else is refused, and so is the request that was granted before the key was taken back: it may only be a
    late copy.
    """
    current = grant if grant is not None else Grant()
    if current.state is GrantState.HELD and current.holder == request.holder:
        return replace(current, nonce=request.nonce), True
    free = current.state is GrantState.OPEN or (current.state is GrantState.HELD and lapsed)
    if not free or current.nonce == request.nonce or current.reserved not in (None, request.holder):
        return current, False
    held = Grant(
        gen=current.gen + 1, holder=request.holder, nonce=request.nonce, state=GrantState.HELD,
        reserved=current.reserved,
    )  # fmt: skip
    return held, True


def accepts(grant: Grant | None, gen: int, holder: str) -> bool:
    """Tell whether work handed in by that holder under that generation may be taken now."""
    return grant is not None and grant.state is GrantState.HELD and (grant.gen, grant.holder) == (gen, holder)


def is_current(grant: Grant | None, gen: int) -> bool:
    """Tell whether work of that generation still counts: asked again in the step that lands it.

    Work that was handed in and then cancelled counts: a run that was interrupted lands it when it is taken up again.
    """
    if grant is None or grant.gen != gen:
        return False
    return grant.state.live or (grant.state is GrantState.CANCELLED and grant.commit is not None)


def release(
    grant: Grant | None,
    to_state: GrantState,
    *,
    commit: str | None = None,
    note: str = "",
    at_least: int = 0,
    reserved: str | None = None,
) -> Grant:
    """Return the grant in another state, its generation unchanged or raised to `at_least`.

    Opening forgets the holder and the commit, and sets who it is `reserved` for. Every other state keeps the holder, and
    the commit if none is given.

    Raises:
        BoardError: the state is HELD, which only `decide` gives.
    """
    if to_state is GrantState.HELD:
        raise BoardError("a key is held only through a granted request")
    current = grant if grant is not None else Grant()
    opened = to_state is GrantState.OPEN
    return Grant(
        gen=max(current.gen, at_least),
        holder=None if opened else current.holder,
        nonce=current.nonce,
        state=to_state,
        commit=commit if commit is not None or opened else current.commit,
        note=note,
        reserved=reserved if opened else current.reserved,
    )


def standing(grant: Grant | None) -> str:
    """Return in words where a key stands, for whoever was refused it."""
    if grant is None or grant.state is GrantState.OPEN:
        reserved = None if grant is None else grant.reserved
        return "nobody holds it" if reserved is None else f"it is kept for {reserved or 'a later attempt'}"
    if grant.state is GrantState.HELD:
        return f"{grant.holder} holds it since generation {grant.gen}"
    return f"it is {grant.state.value} since generation {grant.gen}"
