"""Every feature of the language that an engine may lack; `supported` names those it runs.

What isn't listed here (topic sources, `key`, `where`, `time.by` and `time.field`, operators and
plain functions) every engine runs.
"""

from __future__ import annotations

from typing import Final

from gateway.rules.expression.functions import AGGREGATES

WINDOW_KINDS: Final = ("sliding", "tumbling", "hopping", "session", "count")
ANOMALY_METHODS: Final = (
    "zscore",
    "level_shift",
    "spike",
    "change_point",
    "rate",
    "stuck",
    "contextual",
)
PUBLISH_MOMENTS: Final = ("raised", "changed", "cleared", "acked", "match", "timeout")
STATEFUL_FUNCTIONS: Final = ("changed", "since")

_RULE = "active arm.crossing at_opening.ignore dedupe enrich from.rule let prev"
_TIME = "out_of_order late early late_policy.drop late_policy.adjust idle watermark.partition"
_STATE = "ttl max_keys max_partials max_samples max_samples_total"
_WINDOW = "offset timezone allowed_lateness"
_CONDITION = "when for max_gap clear clear_for repeat on_unknown.reset on_unknown.false"
_SEQUENCE = (
    "steps not all_of from contiguity.strict contiguity.any times optional until step.within "
    "skip.none skip.to_next on_timeout.emit"
)
_ABSENT = "for expect.lookup clock.event startup_grace"
_ALARM = "message levels auto_clear latch labels active_max"
_EMIT = "on.match on.window on.event fields rank"
_SUPPRESS = "cooldown by limit remind while_active group"


def _below(place: str, names: str) -> set[str]:
    return {f"{place}.{name}" for name in names.split()}


FEATURES: Final[frozenset[str]] = frozenset(
    {
        *_RULE.split(),
        *STATEFUL_FUNCTIONS,
        *_CONDITION.split(),
        *_below("time", _TIME),
        *_below("state", _STATE),
        *_below("window", _WINDOW),
        *_below("window", " ".join(WINDOW_KINDS)),
        *_below("aggregate", " ".join(AGGREGATES)),
        "aggregate.sketch",
        *_below("join", "inner left latest"),
        *_below("sequence", _SEQUENCE),
        *_below("absent", _ABSENT),
        *_below("anomaly", " ".join(ANOMALY_METHODS)),
        "anomaly.resample",
        *_below("alarm", _ALARM),
        *_below("emit", _EMIT),
        "publish.payload",
        *_below("publish.on", " ".join(PUBLISH_MOMENTS)),
        *_below("suppress", _SUPPRESS),
    }
)
