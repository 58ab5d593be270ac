"""Records as the commands print them when the profiles of their topics are known."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from gateway.cli.record_lines import Line, json_line, text_line
from gateway.devices import Decode, ProfileBook, Undecodable

TOPICS_MAX = 65_536
OPEN_END = b"}"


class DecodedLines:
    """Shows records with what their profiles make of them; all others as they are."""

    def __init__(self, book: ProfileBook) -> None:
        self._book = book
        self._decoders_by_topic: dict[str, Decode | None] = {}

    def show(self, *, as_json: bool) -> Callable[[Line], bytes]:
        """The function that shows one record."""
        return self._json if as_json else self._text

    def _json(self, line: Line) -> bytes:
        """The usual object with one field more: `decoded`, or `undecodable` with the cause."""
        decode = None if line.reference else self._decoder_of(line.topic)
        shown = json_line(line)
        if decode is None:
            return shown
        try:
            more = {"decoded": decode(line.payload)}
        except Undecodable as error:
            more = {"undecodable": str(error)}
        return shown.removesuffix(OPEN_END) + b"," + orjson.dumps(more).removeprefix(b"{")

    def _text(self, line: Line) -> bytes:
        """The usual line with the decoded payload in place of the bytes."""
        decode = None if line.reference else self._decoder_of(line.topic)
        if decode is None:
            return text_line(line)
        try:
            decoded = orjson.dumps(decode(line.payload))
        except Undecodable as error:
            return text_line(line) + f"  undecodable: {error}".encode()
        return text_line(line._replace(payload=decoded))

    def _decoder_of(self, topic: str) -> Decode | None:
        if topic not in self._decoders_by_topic:
            if len(self._decoders_by_topic) >= TOPICS_MAX:
                self._decoders_by_topic.clear()
            self._decoders_by_topic[topic] = self._book.decoder_of(topic)
        return self._decoders_by_topic[topic]
