"""What rule files make together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from gateway.errors import Complaint, DocumentInvalid
from gateway.rules.device_facts import reads_facts
from gateway.rules.patterns.plans import streams_read, watched_lookup
from gateway.rules.spec import Lookup, RuleSpec, Schedule, Zone


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that was loaded together; `warnings` are worth reading, and stop nothing.

    `inventories` are the keys of the look-ups whose silence a rule looks for.
    """

    rules: tuple[RuleSpec, ...]
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    zones: Mapping[str, Zone] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    warnings: tuple[Complaint, ...] = ()
    inventories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def with_enabled(self, names: Collection[str]) -> RuleSet:
        """The same set, in which these rules don't rest."""
        rules = tuple(replace(one, enabled=one.enabled or one.id in names) for one in self.rules)
        return replace(self, rules=rules)

    @property
    def digest(self) -> str:
        """Equal for sets whose rules mean the same."""
        meanings = [f"{one} {meaning}" for one, meaning in sorted(self.meanings.items())]
        return blake2b("\n".join(meanings).encode(), digest_size=16).hexdigest()

    @property
    def meanings(self) -> dict[str, str]:
        """The digest of each rule that runs, by its id."""
        return {one.id: one.source_hash for one in self.rules if one.enabled}

    @property
    def lookups_used(self) -> dict[str, Lookup]:
        """The look-ups that rules read, by name."""
        names = {one.lookup for rule in self.rules for one in rule.enrich}
        names |= {watched_lookup(rule) or "" for rule in self.rules}
        return {name: self.lookups[name] for name in sorted(names & self.lookups.keys())}

    @property
    def reads_devices(self) -> bool:
        """Whether a rule reads tags or twins of devices."""
        return reads_facts(self.rules)

    @property
    def emitted_streams(self) -> tuple[str, ...]:
        """The derived streams that the rules write, in the order of the rules."""
        return tuple(rule.emit.stream for rule in self.rules if rule.emit is not None)

    @property
    def derived_streams_read(self) -> tuple[str, ...]:
        """The derived streams that rules read, each once."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in streams_read(rule)))


def check_streams(rules: RuleSet, names: Collection[str]) -> None:
    """See that no rule emits a stream that takes messages of clients; `names` are those streams.

    Raises:
        DocumentInvalid: one does; every one is listed.
    """
    found = [
        Complaint(rule.path, rule.line, 1, f"the stream '{rule.emit.stream}' takes topics, too")
        for rule in rules.rules
        if rule.emit is not None and rule.emit.stream in names
    ]
    if found:
        raise DocumentInvalid(found)
