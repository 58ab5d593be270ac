"""What a shared group writes down: where it stands, what is open, and what became of the rest.

`penstock audit` reads it; `gateway.server.sharing` keeps it.
"""

from __future__ import annotations

import msgspec

from gateway.session import Position

SHARES_TABLE = "shares"


class ShareTally(msgspec.Struct, array_like=True):
    """Of the messages that a group has passed: how many matched, and what became of them.

    `matched` = `given` (members had them last; an acknowledgement is their session's affair) +
    `expired` (too old, or gone, before a member could take them) + those that came back from a
    member who left. `lost` are offsets that the log lost before the group read them, whatever
    their topics were.
    """

    matched: int = 0
    given: int = 0
    expired: int = 0
    lost: int = 0


class SavedGroup(msgspec.Struct, array_like=True):
    """A group on disk: where it stands, and what was sent and not acknowledged.

    In its tally those that are not acknowledged are not `given`. An earlier program kept no tally.
    """

    positions: list[tuple[str, int, int]]
    unacknowledged: list[Position]
    tally: ShareTally | None = None

    @property
    def unaccounted(self) -> int:
        """How many messages nothing explains: 0, or somebody has miscounted."""
        tally = self.tally
        if tally is None:
            return 0
        return tally.matched - tally.given - tally.expired - len(self.unacknowledged)


def decode_share(encoded: bytes) -> SavedGroup:
    """Read what a group has written.

    Raises:
        ValueError: it isn't that.
    """
    return msgspec.msgpack.decode(encoded, type=SavedGroup)
