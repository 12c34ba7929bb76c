from __future__ import annotations

import dataclasses
from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator.errors import BoardError
from orchestrator.model.claims import Grant, GrantState, Request, accepts, decide, is_current, release

AGENTS = ("a", "b", "c")
ENDS = tuple(state for state in GrantState if state is not GrantState.HELD)


def asked(holder: str, nonce: str) -> Request:
    return Request(holder=holder, nonce=nonce)


def held(gen: int, holder: str, nonce: str) -> Grant:
    return Grant(gen=gen, holder=holder, nonce=nonce, state=GrantState.HELD)


@pytest.mark.parametrize(
    ("before", "request_", "after", "granted"),
    [
        pytest.param(None, asked("a", "1"), held(1, "a", "1"), True, id="nobody ever had it"),
        pytest.param(Grant(), asked("a", "1"), held(1, "a", "1"), True, id="opened for the first time"),
        pytest.param(Grant(gen=4), asked("a", "1"), held(5, "a", "1"), True, id="opened again"),
        pytest.param(held(2, "a", "1"), asked("a", "2"), held(2, "a", "2"), True, id="renewal"),
        pytest.param(held(2, "a", "1"), asked("a", "1"), held(2, "a", "1"), True, id="delivered twice"),
        pytest.param(held(2, "a", "1"), asked("b", "2"), held(2, "a", "1"), False, id="held by another"),
        pytest.param(Grant(gen=2, nonce="1"), asked("a", "1"), Grant(gen=2, nonce="1"), False, id="late"),
        *(
            pytest.param(
                Grant(gen=2, holder="a", nonce="1", state=state), asked(who, "9"),
                Grant(gen=2, holder="a", nonce="1", state=state), False, id=f"{state.value}, asked by {who}",
            )
            for state in GrantState if state not in (GrantState.OPEN, GrantState.HELD) for who in ("a", "b")
        ),
    ],
)  # fmt: skip
def test_decide(*, before: Grant | None, request_: Request, after: Grant, granted: bool) -> None:
    assert decide(before, request_) == (after, granted)


@pytest.mark.parametrize(
    ("grant", "gen", "holder", "taken"),
    [
        (None, 0, "a", False),
        (None, 1, "a", False),
        (held(2, "a", "1"), 2, "a", True),
        (held(2, "a", "1"), 1, "a", False),
        (held(2, "a", "1"), 3, "a", False),
        (held(2, "a", "1"), 2, "b", False),
        (release(held(2, "a", "1"), GrantState.SUBMITTED), 2, "a", False),
        (release(held(2, "a", "1"), GrantState.OPEN), 2, "a", False),
    ],
)
def test_a_submission_needs_the_current_generation_and_its_holder(
    *, grant: Grant | None, gen: int, holder: str, taken: bool
) -> None:
    assert accepts(grant, gen, holder) is taken


@pytest.mark.parametrize("state", GrantState)
def test_work_counts_while_its_generation_is_live(state: GrantState) -> None:
    grant = Grant(gen=3, holder="a", state=state)
    assert is_current(grant, 3) is (state in (GrantState.HELD, GrantState.SUBMITTED))
    assert not is_current(grant, 2)
    assert not is_current(None, 3)


def test_opening_forgets_the_holder_and_keeps_the_generation() -> None:
    grant = release(held(3, "a", "1"), GrantState.SUBMITTED, commit="c0ffee")
    assert (grant.holder, grant.commit, grant.gen) == ("a", "c0ffee", 3)
    assert release(grant, GrantState.OPEN) == Grant(gen=3, nonce="1")
    assert release(grant, GrantState.OPEN, at_least=7).gen == 7
    assert release(grant, GrantState.OPEN, at_least=1).gen == 3
    assert release(grant, GrantState.DONE).commit == "c0ffee"
    assert release(grant, GrantState.DONE, commit="beef").commit == "beef"


def test_nothing_is_held_without_a_request() -> None:
    with pytest.raises(BoardError, match="granted request"):
        release(None, GrantState.HELD)


def test_every_short_history_is_safe() -> None:
    """All histories of six moves by two agents with old and new requests, releases and stale work."""
    # A state is the grant, and which agent was ever given which generation; the second is what must stay
    # sound.
    seen: set[tuple[Grant | None, frozenset[tuple[int, str]]]] = {(None, frozenset())}
    frontier = list(seen)
    for depth in range(6):
        following: list[tuple[Grant | None, frozenset[tuple[int, str]]]] = []
        for grant, given in frontier:
            # Nonces: one that is new now, or any that was used at an earlier depth (a copy that comes late).
            for holder in "ab":
                for nonce in [f"{holder}{n}" for n in range(depth + 1)]:
                    after, granted = decide(grant, asked(holder, nonce))
                    if granted:
                        assert (after.holder, after.state) == (holder, GrantState.HELD)
                        others = {who for gen, who in given if gen == after.gen}
                        assert others <= {holder}, "one generation, two holders"
                        assert after.gen >= max((gen for gen, _ in given), default=0)
                        following.append((after, given | {(after.gen, holder)}))
                    else:
                        assert after == (grant or Grant())
                for gen in range(depth + 1):
                    if accepts(grant, gen, holder):
                        assert grant is not None
                        assert gen == grant.gen == max(g for g, _ in given)
                        assert (gen, holder) in given
            following.extend((release(grant, state), given) for state in ENDS)
        frontier = list(set(following) - seen)
        seen.update(frontier)
    assert len(seen) > 300


class ClaimsMachine(RuleBasedStateMachine):
    """One key, agents whose messages are late, repeated and stale; an orchestrator that takes back."""

    def __init__(self) -> None:
        super().__init__()
        self.grant: Grant | None = None
        self.sent: list[Request] = []
        self.owners: defaultdict[int, set[str]] = defaultdict(set)
        self.taken: list[tuple[int, str]] = []
        self.newest = 0

    @rule(agent=st.sampled_from(AGENTS))
    def ask(self, agent: str) -> None:
        self.sent.append(asked(agent, f"n{len(self.sent)}"))

    @rule(data=st.data())
    def deliver_any_request_ever_made(self, data: st.DataObject) -> None:
        if not self.sent:
            return
        request = data.draw(st.sampled_from(self.sent))
        before = self.grant
        self.grant, granted = decide(before, request)
        if granted:
            assert self.grant.holder == request.holder
            if before is None or before.state is not GrantState.HELD:
                assert self.grant.gen > self.newest, "a new holder, and no greater generation"
            self.newest = self.grant.gen
            self.owners[self.grant.gen].add(request.holder)
        else:
            assert self.grant == (before or Grant())

    @rule(state=st.sampled_from(ENDS), at_least=st.integers(0, 5))
    def take_back_or_end(self, state: GrantState, at_least: int) -> None:
        self.grant = release(self.grant, state, at_least=at_least)

    @rule(agent=st.sampled_from(AGENTS), gen=st.integers(0, 12))
    def hand_in(self, agent: str, gen: int) -> None:
        if accepts(self.grant, gen, agent):
            assert self.grant is not None
            assert (gen, agent) == (self.newest, self.grant.holder)
            assert all(gen > earlier for earlier, _ in self.taken), "a generation was taken twice, or out of order"
            self.taken.append((gen, agent))
            self.grant = release(self.grant, GrantState.SUBMITTED)

    @invariant()
    def a_generation_has_one_holder(self) -> None:
        assert all(len(owners) == 1 for owners in self.owners.values())

    @invariant()
    def generations_never_shrink(self) -> None:
        assert self.newest <= (self.grant.gen if self.grant else 0)


TestClaimsUnderAnyOrder = ClaimsMachine.TestCase
TestClaimsUnderAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_grants_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        held(1, "a", "1").gen = 2  # type: ignore[misc]
