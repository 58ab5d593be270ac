"""What the engine runs: the loader refuses every rule that asks for more.

The names are those of `gateway.rules.features.FEATURES`.
"""

from __future__ import annotations

SUPPORTED: frozenset[str] = frozenset(
    {
        "let",
        "time.out_of_order",
        "time.late",
        "time.early",
        "time.idle",
        "state.ttl",
        "state.max_keys",
        "window.sliding",
        "window.tumbling",
        "aggregate.count",
        "aggregate.sum",
        "aggregate.avg",
        "aggregate.min",
        "aggregate.max",
        "when",
        "for",
        "max_gap",
        "clear",
        "clear_for",
        "on_unknown.reset",
        "on_unknown.false",
        "alarm.message",
        "publish.on.raised",
        "publish.on.cleared",
    }
)
