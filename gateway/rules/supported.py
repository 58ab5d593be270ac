"""What the engine runs: the loader refuses every rule that asks for more.

A feature is named after its place in the language: a key of a rule (`join`, `sequence`), or a key
and what is chosen there (`window.sliding`, `aggregate.avg`, `time.watermark.partition`,
`publish.on.acked`).
"""

from __future__ import annotations

SUPPORTED: frozenset[str] = frozenset(
    {
        "window.sliding",
        "window.tumbling",
        "aggregate.count",
        "aggregate.sum",
        "aggregate.avg",
        "aggregate.min",
        "aggregate.max",
        "when",
    }
)
