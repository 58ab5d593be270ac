"""Reads `claim_check` of a stream: beyond which size a payload is kept beside the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.devices import ProfileBook
from gateway.documents import Section
from gateway.server import ClaimLimits
from gateway.store import CLAIM_BYTES

KEY = "claim_check"
CLAIM_BYTES_LEAST = 1 << 10
CLAIM_BYTES_MOST = 16 << 20
TOPICS_MAX = 65_536


def read_claim_check(stream: Section) -> int | None:
    """The largest payload that lies in the log itself; None: any, since the stream compacts."""
    node = stream.get("compact")
    if node is not None and node.kind == "mapping":
        if KEY in stream:
            # What compaction takes out of a partition is in no order that a sweep could follow.
            stream.complain("a stream that compacts keeps every payload in the log", KEY)
        return None
    if KEY not in stream:
        return CLAIM_BYTES
    return stream.size_bytes(KEY, least=CLAIM_BYTES_LEAST, most=CLAIM_BYTES_MOST)


def claim_limits(by_stream: Mapping[str, int | None], book: ProfileBook) -> ClaimLimits:
    """What streams and profiles say together: a profile's word goes before its stream's."""
    own = [one.claim_bytes for one in book.profiles if one.claim_bytes is not None]
    if not own:
        return ClaimLimits(by_stream=by_stream)
    return ClaimLimits(by_stream=by_stream, of_topic=_by_profile(book), least_of_topics=min(own))


def _by_profile(book: ProfileBook) -> Callable[[str], int | None]:
    known: dict[str, int | None] = {}

    def limit_of(topic: str) -> int | None:
        if topic not in known:
            if len(known) >= TOPICS_MAX:
                known.clear()
            profile = book.profile_of(topic)
            known[topic] = None if profile is None else profile.claim_bytes
        return known[topic]

    return limit_of
