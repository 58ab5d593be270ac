"""Which services a kind of device has, and how well it does them: `services:` of a scenario."""

from __future__ import annotations

from dataclasses import dataclass

INTERVAL = "interval_s"
INTERVAL_LEAST_MS = 10
INTERVAL_MOST_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ThresholdSpec:
    """A property of the twin that readings are compared with."""

    name: str
    """The property."""
    field: str
    """The field of the reading."""
    limit: float
    """Where the threshold stands until the twin moves it."""
    is_above: bool
    """Whether a value above it crosses it, or one below."""
    shows: str
    """The boolean that readings have for it."""


@dataclass(frozen=True, slots=True)
class TwinSpec:
    """What a device lets its twin set; it always takes `interval_s` within these bounds."""

    interval_ms_least: int = 100
    interval_ms_most: int = 3_600_000
    thresholds: tuple[ThresholdSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandsSpec:
    """How a device obeys."""

    fails: float = 0.0
    """The chance that a command fails on the device."""
    restart_ms: int = 2_000
    """How long a reboot takes."""
    remembers: int = 256
    """How many request ids its flash holds."""


@dataclass(frozen=True, slots=True)
class UpdatesSpec:
    """How a device updates itself."""

    version: str = "1.0.0"
    """The firmware that it leaves the factory with."""
    install_ms: int = 5_000
    """How long it is off while it installs."""
    fails: float = 0.0
    """The chance that writing the new image fails."""
    rolls_back: float = 0.0
    """The chance that the new firmware does not come up, and the old one does again."""
    public_key: bytes | None = None
    """The ed25519 key that images must be signed with; without one signatures are not looked at."""


@dataclass(frozen=True, slots=True)
class ServicesSpec:
    """The services of a kind of device; None is one that it doesn't have."""

    twin: TwinSpec | None = None
    commands: CommandsSpec | None = None
    updates: UpdatesSpec | None = None
