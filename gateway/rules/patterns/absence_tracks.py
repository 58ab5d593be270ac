"""A key that may fall silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.rules.alarms import Outbox
from gateway.rules.conditions import Phase
from gateway.rules.event_names import Event, ScopeMap, names_of_event
from gateway.rules.pages import Samples
from gateway.rules.patterns.absences import IS_EXPECTED
from gateway.rules.tracks import Track
from gateway.rules.values import Value


class AbsenceTrack(Track):
    """The silence of one key, as a condition that is true from one message to the next."""

    __slots__ = ()

    def advance(
        self, event: Event, values: tuple[Value, ...], scope: ScopeMap, outbox: Outbox
    ) -> None:
        """Take in a message: the silence before it is over, and another begins."""
        if self.admit(event, values, scope) is None:
            return
        change = self.look(event[0], scope, when=False)
        if change is not None:
            names = {**scope, **names_of_event(event), "key": self.key}
            outbox.announce(self.plan, self.text, change, names)
        self.look(event[0], scope, when=True)
        self.due_ms = self.condition.due_ms

    def wait(self, from_ms: int, scope: ScopeMap) -> None:
        """Count the silence from this time on, if it is not counted from a later one."""
        condition = self.condition
        if condition.phase is Phase.PENDING and condition.since_ms < from_ms:
            self.look(from_ms, scope, when=False)
        if condition.phase is Phase.IDLE:
            self.look(from_ms, scope, when=True)
        self.due_ms = condition.due_ms

    def dismiss(self, time_ms: int, outbox: Outbox) -> None:
        """End the silence of a key that is expected no more."""
        scope = {**self.remembered(time_ms, outbox), IS_EXPECTED: False}
        change = self.look(time_ms, scope, when=False)
        if change is not None:
            outbox.announce(self.plan, self.text, change, scope)

    def fire(self, outbox: Outbox) -> None:
        """Do the one thing that is due at `due_ms`."""
        moment_ms = self.condition.due_ms
        was_pending = self.condition.phase is Phase.PENDING
        change = self.condition.fire()
        scope = self.remembered(moment_ms, outbox)
        if change is not None:
            outbox.announce(self.plan, self.text, change, scope)
        if was_pending:
            # The silence is true from now on, not when the last message came: `auto_clear` counts.
            self.look(moment_ms, scope, when=True)
        self.is_dirty = True
        self.due_ms = self.condition.due_ms

    def pack_own(self) -> tuple[Value, Samples | None]:
        """Nothing: its condition says it all."""
        return None, None

    def unpack_own(self, packed: Value, pages: Mapping[int, list[Any]]) -> bool:
        """Nothing to take over."""
        return True
