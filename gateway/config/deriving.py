"""Reads the section `derived:`: what is kept of the streams that rules emit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.config.keeping import read_keeping
from gateway.documents import Section
from gateway.store import StreamSpec


@dataclass(frozen=True, slots=True)
class DerivedConfig:
    """What derived streams keep: all of them, but for those that are named."""

    default: StreamSpec = field(default_factory=lambda: StreamSpec("derived", partitions=1))
    by_name: Mapping[str, StreamSpec] = field(default_factory=dict)

    def spec_of(self, name: str) -> StreamSpec:
        """What the stream of that name keeps; its one partition keeps the order of the rule."""
        return replace(self.by_name.get(name, self.default), name=name)


def read_derived(top: Section) -> DerivedConfig:
    """The section, or what holds without it."""
    section = top.section("derived")
    base = DerivedConfig()
    if section is None:
        return base
    default = replace(base.default, **read_keeping(section, base.default))
    by_name: dict[str, StreamSpec] = {}
    for one in section.sections("streams"):
        one.require("name")
        name = one.text("name")
        if name in by_name:
            one.complain(f"duplicate stream name '{name}'", "name")
        by_name[name] = replace(default, name=name, **read_keeping(one, default))
        one.finish()
    section.finish()
    return DerivedConfig(default, by_name)
