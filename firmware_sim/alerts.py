"""What the rules said during a run: alarms that rise and clear, read from the stream `alerts`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

RAISED, CHANGED, CLEARED = "raised", "changed", "cleared"
SIGNS = {RAISED: "ALERT", CHANGED: "ALERT", CLEARED: "clear"}
LATEST_MAX = 8


@dataclass(slots=True)
class RuleCount:
    """How often one rule raised and cleared, and why it did so last."""

    raised: int = 0
    cleared: int = 0
    reason: str = ""
    where: str = ""


class AlertBoard:
    """Every alarm of a run, by rule; which are active now."""

    def __init__(self) -> None:
        self.counts_by_rule: dict[str, RuleCount] = {}
        self.active: set[tuple[str, str]] = set()
        self.latest: deque[str] = deque(maxlen=LATEST_MAX)
        """The latest alarms in words, the oldest first."""

    @property
    def raised(self) -> int:
        """How often any rule raised."""
        return sum(seen.raised for seen in self.counts_by_rule.values())

    def as_values(self) -> dict[str, dict[str, Any]]:
        """Each rule's counts, for a program."""
        return {rule: asdict(seen) for rule, seen in sorted(self.counts_by_rule.items())}

    def note(self, record: Mapping[str, Any]) -> str | None:
        """Take one record of the stream, and put it in words; None when it is no alarm."""
        payload = record.get("payload")
        if not isinstance(payload, dict) or payload.get("event") not in SIGNS:
            return None
        rule, key, event = str(payload.get("rule")), str(payload.get("key")), payload["event"]
        message = str(payload.get("message") or "")
        reason = str(payload.get("reason") or "")
        count = self.counts_by_rule.setdefault(rule, RuleCount())
        if event == CLEARED:
            count.cleared += 1
            self.active.discard((rule, key))
        else:
            count.raised += event == RAISED
            count.reason = reason or message
            count.where = key
            self.active.add((rule, key))
        said = (message or reason).removeprefix(f"{key}: ")
        line = f"{SIGNS[event]} {rule} {key}: {said}"
        self.latest.append(line)
        return line
