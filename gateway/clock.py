"""Where time comes from: the machine's clocks, and a twin of them that is driven by hand."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

RELEASED_MS = 1_760_000_000_000
"""No clock that is right shows less: this program did not exist then."""

BOARD_MODEL = Path("/proc/device-tree/model")
RTC_DEVICES = Path("/sys/class/rtc")
SYNCHRONIZED_MARK = Path("/run/systemd/timesync/synchronized")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
CLOCK_UNSYNCHRONIZED = 5
TIMEX_BYTES = 512


class Clock(Protocol):
    """Wall time for records, monotonic time for intervals."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, as the machine believes; it may step either way."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed moment; it never runs backwards."""
        ...

    def is_right(self) -> bool:
        """Whether the wall clock is known to be right; a machine without a battery starts wrong."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def is_right(self) -> bool:
        return self.now_ms() >= RELEASED_MS and (has_kept_time() or is_synchronized())


def has_kept_time(model: Path = BOARD_MODEL, devices: Path = RTC_DEVICES) -> bool:
    """Whether something keeps the time while the machine is off.

    Small boards need a clock on a battery for that; others, and virtual ones, have it.
    """
    return not model.exists() or (devices.exists() and any(devices.iterdir()))


def is_synchronized(mark: Path = SYNCHRONIZED_MARK) -> bool:
    """Whether NTP has set the clock since the machine started, as its service or kernel says."""
    return mark.exists() or kernel_is_synchronized()


def kernel_is_synchronized() -> bool:
    """What the kernel says about its own clock; False where it can't be asked."""
    # Loaded when first needed: most machines have a clock on a battery.
    import ctypes

    try:
        # The call fills in a structure of 208 bytes; all zeros ask and change nothing.
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (AttributeError, OSError):
        return False
    return 0 <= state < CLOCK_UNSYNCHRONIZED


def boot_id(path: Path = BOOT_ID) -> str:
    """What tells this run of the machine from every other; empty where nothing does."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


class ManualClock:
    """A clock that moves when it is told to; for tests, simulations and replays."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0
        self._is_right = True

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass on both clocks.

        Raises:
            ValueError: `ms` is negative; a wall clock that steps back is `step`.
        """
        if ms < 0:
            raise ValueError(f"time can't pass backwards: {ms} ms")
        self._now_ms += ms
        self._monotonic_ms += ms

    def step(self, ms: int) -> None:
        """Set the wall clock forward or back by `ms`, as NTP or a person does."""
        self._now_ms += ms

    def is_right(self) -> bool:
        return self._is_right

    def doubt(self, *, is_right: bool = False) -> None:
        """Say whether the wall clock is known to be right."""
        self._is_right = is_right
