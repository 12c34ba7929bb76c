"""What the hub decides, without any connection: updates in, decisions and updates out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from orchestrator.board import schema, snapshot
from orchestrator.board.books import Books
from orchestrator.board.document import Put, Remove
from orchestrator.board.questions import Questions
from orchestrator.errors import BoardError, ClaimRefused
from orchestrator.model.claims import LEASE, Grant, GrantState, Request, accepts, decide, is_current, release, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.board.document import Change
    from orchestrator.board.log import BoardLog
    from orchestrator.board.snapshot import Snapshot
    from orchestrator.model.todo import TaskCard

__all__ = ["Ledger"]

_ASKED = (schema.REQUESTS, schema.SUBMISSIONS)
_RELEASED = frozenset(GrantState) - {GrantState.HELD, GrantState.SUBMITTED}
_NOBODY = ""
_UNKNOWN = "the board has no such task or TODO"


class Ledger:
    """The rules by which claims are decided, on top of a board's documents.

    Every method runs to its end without waiting, so within one event loop each is atomic.
    """

    def __init__(
        self,
        log: BoardLog,
        clock: Callable[[], float],
        *,
        publish: Callable[[str, bytes], None] = lambda _topic, _update: None,
        stopped: Callable[[str], None] = lambda _reason: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Go on where the log ends; `clock` gives the seconds of log entries, the rest is as for `Books`.

        `now` gives the seconds by which leases end. What was held when the last hub ended is held for one more lease,
        since nobody knows when it was renewed.

        Raises:
            BoardError: the log does not hold a board.
        """
        self._books = Books(log, clock, publish=publish, stopped=stopped)
        self.questions = Questions(self._books)
        self._now = now
        self._began = now()
        self._renewed: dict[str, float] = {}
        ctl = self._books.ctl
        self._cards = {key: schema.decode_card(key, text) for key, text in ctl.items(schema.TASKS).items()}
        self._grants = {key: schema.decode_grant(text) for key, text in ctl.items(schema.GRANTS).items()}
        self._answers = self._books.unread_answers()

    # What the orchestrator says.

    def publish_tasks(self, cards: Iterable[TaskCard]) -> None:
        """Put tasks on the board, in one transaction; a card that is there already is replaced if it changed.

        Nothing can be claimed before it is opened.

        Raises:
            BoardError: an id is not a name (`[A-Za-z0-9][A-Za-z0-9._-]*`); nothing was changed.
        """
        new = {card.id: card for card in cards if self._cards.get(card.id) != card}
        for card in new.values():
            for name in (card.id, *(todo.id for todo in card.todos)):
                if not schema.is_name(name):
                    raise BoardError(f"{name[:100]!r} cannot be the id of a task or TODO")
        if new:
            puts = [Put(map=schema.TASKS, key=k, value=schema.encode_card(card)) for k, card in new.items()]
            self._books.record("published", {"tasks": len(new)}, *puts)
            self._cards.update(new)

    def open(self, key: str, *, at_least: int = 0, for_agent: str | None = None, note: str = "") -> None:
        """Let a key be claimed, by its next generation: for the first time, or again and from its holder.

        Opening a task opens all of its TODOs anew, since its next generation begins from the start.
        `at_least` is a generation known from elsewhere; the next one will be greater, even if the board
        forgot. With `for_agent`, nobody else is granted it; its TODOs may still be claimed by all. A key that is open
        already, and for the same, stays as it is.

        Raises:
            BoardError: the board has no such key, or the task is done, which is final.
        """
        self._known(key)
        grant = self._grants.get(key)
        if (
            grant is not None
            and (grant.state, grant.reserved) == (GrantState.OPEN, for_agent)
            and grant.gen >= at_least
        ):
            return
        self._not_final(key)
        changed = {key: release(grant, GrantState.OPEN, note=note, at_least=at_least, reserved=for_agent)}
        for todo in self._todos(key):
            changed[todo] = release(self._grants.get(todo), GrantState.OPEN)
        self._decided("opened", {"key": key, "gen": changed[key].gen, "note": note}, changed)

    def release(
        self,
        key: str,
        state: GrantState,
        *,
        gen: int | None = None,
        commit: str | None = None,
        note: str = "",
    ) -> None:
        """End the work on a key: DONE, FAILED, BLOCKED or CANCELLED; or take it back (OPEN, as `open`).

        TODOs of a task that nobody finished are cancelled with it. With `gen`, the step is fenced: it is
        taken only if work of that generation still counts, which is how a landing makes sure that nothing
        stale lands.

        Raises:
            ClaimRefused: `gen` is stale; nothing was changed.
            BoardError: the board has no such key, the task is done, which is final, or the state is another
                one.
        """
        self._known(key)
        if state not in _RELEASED:
            raise BoardError(f"{key} cannot be released as {state.value}")
        grant = self._grants.get(key)
        released = release(grant, state, commit=commit, note=note)
        if released == grant and gen in (None, released.gen):
            return  # said twice, as a resumed run does
        if gen is not None:
            self.fence(key, gen)
        if state is GrantState.OPEN:
            taken_back = grant is not None and grant.reserved is not None  # so it is not for everybody now, either
            self.open(key, note=note, for_agent=_NOBODY if taken_back else None)
            return
        self._not_final(key)
        changed = {key: released}
        for todo in self._todos(key):
            left = self._grants.get(todo)
            if left is not None and (left.state is GrantState.OPEN or left.state.live):
                changed[todo] = release(left, GrantState.CANCELLED)
        self._decided(state.value, {**_who(key, released), "note": note}, changed)

    def accept_submission(self, task: str, gen: int, holder: str, commit: str) -> None:
        """Take in a task's work; the same may be handed in again, other work is refused from now on.

        Raises:
            ClaimRefused: the generation is stale, somebody else holds the task, or other work was handed in
                already.
            BoardError: the board has no such task.
        """
        self._known(task)
        if (why := self._objection(task, gen, holder, commit)) is not None:
            raise ClaimRefused(f"{task}: {why}")
        self._hand_in(task, commit)

    def fence(self, key: str, gen: int) -> None:
        """Pass if work of that generation still counts: asked in the step that lands it.

        Raises:
            ClaimRefused: the generation is stale.
        """
        grant = self._grants.get(key)
        if not is_current(grant, gen):
            raise ClaimRefused(f"{key}: generation {gen} does not count any more; {standing(grant)}")

    def note(self, kind: str, **fields: object) -> None:
        """Add an entry to the sequenced log; fields are JSON values.

        Raises:
            BoardError: a field is not JSON, or has a name that every entry has.
        """
        self._books.record(kind, fields)

    def snapshot(self) -> Snapshot:
        """Return the board as it is now, frozen."""
        return snapshot.take(self._books.documents)

    def drop(self, agent: str, *, reason: str = "") -> None:
        """Forget an agent that is gone: its last words go into the log, its documents go away.

        What it holds stays as it is; `open` or `release` it.
        """
        for topic in self._books.topics_of(agent):
            self._drop(topic, reason)

    # What agents say.

    def join(self, topic: str) -> None:
        """Let an agent's document take part; an earlier life of the agent is dropped, since it is gone.

        Only what arrives from now on is answered: whoever reconnects asks again.

        Raises:
            BoardError: the topic is not an agent's, or it was dropped: come back under a new incarnation.
        """
        agent = schema.parse_agent_topic(topic).agent
        document = self._books.join(topic)
        for other in self._books.topics_of(agent):
            if other != topic:
                self._drop(other, "another incarnation took its place")
        for name in _ASKED:
            document.watch(name)

    def receive(self, topic: str, update: bytes) -> None:
        """Take in an update of a joined agent's document, and answer what it asks.

        Raises:
            BoardError: the update does not fit, or what it asks cannot be read. The agent should be cut off;
                its document is dropped if it may be half changed.
        """
        try:
            document = self._books.take_in(topic, update)
        except BoardError:
            self._books.usable()
            self._drop(topic, "its update could not be applied")
            raise
        for name in _ASKED:
            for key in document.touched(name):
                self._answer(topic, name, key, document.get(name, key))

    def _answer(self, topic: str, name: str, key: str, text: str | None) -> None:
        answers = self._answers.setdefault(topic, {}).setdefault(name, {})
        if text is None:  # the agent has read the answer; it leaves the board with the next one
            answers.pop(key, None)
            return
        if len(answers) >= schema.ASKED_AT_ONCE and key not in answers:
            raise BoardError(f"more than {schema.ASKED_AT_ONCE} requests at once; take the answered ones out")
        if not schema.is_key(key):
            raise BoardError(f"{key[:100]!r} cannot be the key of a task or TODO")
        agent = schema.parse_agent_topic(topic).agent
        if name == schema.REQUESTS:
            self._answer_wish(topic, agent, key, schema.decode_wish(text))
        else:
            self._answer_submission(topic, agent, key, schema.decode_submission(text))

    def _answer_wish(self, topic: str, agent: str, key: str, wish: schema.Wish) -> None:
        before = self._grants.get(key)
        if before is None:
            why = "it is not open yet" if self._has(key) else _UNKNOWN
            self._refuse(topic, schema.REQUESTS, key, wish.nonce, why)
            return
        grant, granted = decide(before, Request(holder=agent, nonce=wish.nonce), lapsed=self._lapsed(key))
        if not granted:
            late = before.state is GrantState.OPEN and before.nonce == wish.nonce
            why = "this request was granted before; ask anew" if late else standing(before)
            self._refuse(topic, schema.REQUESTS, key, wish.nonce, why)
            return
        put = self._answered(topic, schema.REQUESTS, key, schema.Answer(nonce=wish.nonce, gen=grant.gen))
        kind = "granted" if grant.gen > before.gen else None  # a renewal is no news
        self._renewed[key] = self._now()
        self._decided(kind, _who(key, grant), {key: grant}, put)

    def _answer_submission(self, topic: str, agent: str, key: str, work: schema.Submission) -> None:
        why = self._objection(key, work.gen, agent, work.commit) if self._has(key) else _UNKNOWN
        if why is not None:
            self._refuse(topic, schema.SUBMISSIONS, key, work.nonce, why)
            return
        answer = schema.Answer(nonce=work.nonce, gen=work.gen)
        self._hand_in(key, work.commit, self._answered(topic, schema.SUBMISSIONS, key, answer))

    def _lapsed(self, key: str) -> bool:
        """Tell whether the lease of a held key is over by the clock here, which started later than the holder's."""
        return self._now() >= self._renewed.get(key, self._began) + LEASE

    def _refuse(self, topic: str, name: str, key: str, nonce: str, why: str) -> None:
        put = self._answered(topic, name, key, schema.Answer(nonce=nonce, refused=why))
        agent = schema.parse_agent_topic(topic).agent
        self._books.record("refused", {"key": key, "agent": agent, "why": why}, put)

    def _answered(self, topic: str, name: str, key: str, answer: schema.Answer) -> Put:
        answers = self._answers[topic]
        answers[name][key] = answer
        return Put(map=schema.ANSWERS, key=topic, value=schema.encode_answers(answers))

    def _objection(self, key: str, gen: int, holder: str, commit: str | None) -> str | None:
        """Tell why work cannot be handed in; None if it can, or was already."""
        grant = self._grants.get(key)
        if schema.is_todo(key) and commit is not None:
            return "a TODO is ticked off without a commit"
        if not schema.is_todo(key) and commit is None:
            return "a task is handed in with a commit"
        if accepts(grant, gen, holder):
            return None
        after = (_handed_in(key), gen, holder, commit)
        if grant is not None and (grant.state, grant.gen, grant.holder, grant.commit) == after:
            return None
        return f"generation {gen} of {holder} does not count; {standing(grant)}"

    def _hand_in(self, key: str, commit: str | None, *changes: Change) -> None:
        before = self._grants[key]
        grant = release(before, _handed_in(key), commit=commit)
        kind = grant.state.value if grant != before else None
        self._decided(kind, _who(key, grant), {key: grant}, *changes)

    def _decided(self, kind: str | None, fields: dict[str, Any], grants: dict[str, Grant], *changes: Change) -> None:
        """Write grants and what belongs to them; a kind of None is no news, and stays out of the log."""
        puts = [
            Put(map=schema.GRANTS, key=key, value=schema.encode(grant))
            for key, grant in grants.items()
            if self._grants.get(key) != grant
        ]
        if kind is None:
            self._books.write(*puts, *changes)
        else:
            said = {name: value for name, value in fields.items() if value not in (None, "")}
            self._books.record(kind, said, *puts, *changes)
        self._grants.update(grants)

    def _drop(self, topic: str, reason: str) -> None:
        agent = schema.parse_agent_topic(topic).agent
        held = [key for key, grant in self._grants.items() if grant.holder == agent and grant.state.live]
        said = snapshot.last_words(self._books.documents[topic])
        fields = {"agent": agent, "topic": topic, "why": reason, "said": said, "holds": held}
        self._books.record("dropped", fields, Remove(map=schema.ANSWERS, key=topic))
        self._answers.pop(topic, None)
        self._books.forget(topic)

    def _has(self, key: str) -> bool:
        task, todo = schema.split_key(key)
        card = self._cards.get(task)
        return card is not None and (todo is None or any(todo == known.id for known in card.todos))

    def _known(self, key: str) -> None:
        if not self._has(key):
            raise BoardError(f"{key!r}: {_UNKNOWN}")

    def _not_final(self, key: str) -> None:
        grant = self._grants.get(key)
        if grant is not None and grant.state is GrantState.DONE and not schema.is_todo(key):
            raise BoardError(f"{key} is done, which is final: its work has landed")

    def _todos(self, key: str) -> list[str]:
        return [] if schema.is_todo(key) else [schema.todo_key(key, todo.id) for todo in self._cards[key].todos]


def _handed_in(key: str) -> GrantState:
    return GrantState.DONE if schema.is_todo(key) else GrantState.SUBMITTED


def _who(key: str, grant: Grant) -> dict[str, Any]:
    return {"key": key, "gen": grant.gen, "holder": grant.holder, "commit": grant.commit}
