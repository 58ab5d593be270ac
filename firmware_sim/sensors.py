"""The sensors of a device: what each field of its payload shows at a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firmware_sim.scenario import Field, FieldType
from firmware_sim.signals import Grain

HALF = 0.5

Value = float | int | bool | str
Reader = Callable[[int], Value]


def build_readers(fields: Sequence[Field], grain: Grain) -> list[tuple[str, Reader]]:
    """For each field, its name and the function from true time to what the payload says."""
    return [(field.name, _build_reader(field, grain.child(field.name))) for field in fields]


def _build_reader(field: Field, grain: Grain) -> Reader:
    text = field.text
    if text is not None:
        return lambda _time_ms: text
    sampler, decimals = field.signal.sampler(grain), field.decimals
    match field.field_type:
        case FieldType.NUMBER:
            # Adding zero turns -0.0, which rounding can leave, into 0.0.
            return lambda time_ms: round(sampler(time_ms), decimals) + 0.0
        case FieldType.INTEGER:
            return lambda time_ms: round(sampler(time_ms))
        case FieldType.BOOLEAN:
            return lambda time_ms: sampler(time_ms) >= HALF
