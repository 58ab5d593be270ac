"""What the engine runs: the loader refuses every rule that asks for more.

The names are those of `gateway.rules.features.FEATURES`.
"""

from __future__ import annotations

from gateway.rules.aggregates import ACCUMULATORS, FOLDS
from gateway.rules.anomalies.methods import METHODS
from gateway.rules.moments import MONOIDS

_AGGREGATES = {*FOLDS, *ACCUMULATORS, *MONOIDS}

_SEQUENCE = (
    "steps not all_of from contiguity.strict contiguity.any times optional until step.within "
    "skip.none skip.to_next on_timeout.emit"
)

SUPPORTED: frozenset[str] = frozenset(
    {
        "active",
        "arm.crossing",
        "at_opening.ignore",
        "changed",
        "dedupe",
        "let",
        "prev",
        "since",
        "time.out_of_order",
        "time.late",
        "time.early",
        "time.late_policy.drop",
        "time.late_policy.adjust",
        "time.idle",
        "time.watermark.partition",
        "state.ttl",
        "state.max_keys",
        "state.max_samples",
        "state.max_samples_total",
        "window.sliding",
        "window.tumbling",
        "window.hopping",
        "window.session",
        "window.count",
        "window.offset",
        "window.timezone",
        "window.allowed_lateness",
        *(f"aggregate.{name}" for name in _AGGREGATES),
        "aggregate.sketch",
        "when",
        "for",
        "max_gap",
        "clear",
        "clear_for",
        "repeat",
        "on_unknown.reset",
        "on_unknown.false",
        *(f"sequence.{name}" for name in _SEQUENCE.split()),
        "state.max_partials",
        "publish.on.match",
        "publish.on.timeout",
        "absent.for",
        "absent.expect.lookup",
        "absent.clock.event",
        "absent.startup_grace",
        *(f"anomaly.{name}" for name in METHODS),
        "anomaly.resample",
        "enrich",
        "from.rule",
        "join.inner",
        "join.left",
        "join.latest",
        "emit.on.match",
        "emit.on.window",
        "emit.on.event",
        "emit.fields",
        "emit.rank",
        "alarm.message",
        "alarm.levels",
        "alarm.auto_clear",
        "alarm.latch",
        "alarm.labels",
        "alarm.active_max",
        "publish.payload",
        "publish.on.raised",
        "publish.on.changed",
        "publish.on.cleared",
        "publish.on.acked",
        "suppress.cooldown",
        "suppress.by",
        "suppress.limit",
        "suppress.remind",
        "suppress.while_active",
        "suppress.group",
    }
)
