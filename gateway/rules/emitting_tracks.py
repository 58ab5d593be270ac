"""One rule for one key, where each event or each result of the window is emitted."""

from __future__ import annotations

from gateway.rules.alarms import Outbox
from gateway.rules.event_names import Event, ScopeMap, names_of_event
from gateway.rules.tracks import ConditionTrack
from gateway.rules.values import Value


class EmittingTrack(ConditionTrack):
    """A condition track that writes down what it sees, whatever the condition says of it."""

    __slots__ = ()

    def advance(
        self, event: Event, values: tuple[Value, ...], scope: ScopeMap, outbox: Outbox
    ) -> None:
        """Take in the next event of the key."""
        samples = self.admit(event, values, scope)
        if samples is None:
            return
        window = self.window
        if window is not None and not window.add(event[0], samples, scope):
            self.due_ms = self.find_due()
            return
        names = {**scope, **names_of_event(event), "key": self.key}
        if self.plan.emits_each:
            outbox.emit(self.plan, self.text, event[0], names)
        change = self.consider(event[0], self.plan.when(scope), scope)
        if change is not None:
            outbox.announce(self.plan, self.text, change, names)

    def correct(self, moment_ms: int, scope: ScopeMap, outbox: Outbox) -> None:
        """Emit a result that has changed since it was emitted."""
        if self.plan.emits_each:
            outbox.emit(self.plan, self.text, moment_ms, scope)

    def see(self, moment_ms: int, scope: ScopeMap, outbox: Outbox) -> None:
        """Take in a result of the window that time has brought about."""
        if self.plan.emits_each:
            outbox.emit(self.plan, self.text, moment_ms, scope)
        super().see(moment_ms, scope, outbox)
