"""How topics name devices: templates such as `plant/{site}/{device}/#`, first match wins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gateway.errors import PenstockError

CAPTURE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class TopicTemplateInvalid(PenstockError):
    """A topic template has no `{device}`, or is no topic filter with captures."""


class TopicTemplate:
    """One template: literal levels, `+`, a trailing `#`, and captures that are whole levels."""

    def __init__(self, text: str) -> None:
        """Read the template.

        Raises:
            TopicTemplateInvalid: it names no device or one thing twice, or misplaces a wildcard.
        """
        self.text = text
        levels = text.split("/")
        self._is_open = levels[-1] == "#"
        self._levels = levels[:-1] if self._is_open else levels
        self._captures: list[tuple[str, int]] = []
        self._literals: list[tuple[int, str]] = []
        for depth, level in enumerate(self._levels):
            self._take(depth, level)
        if "device" not in dict(self._captures):
            raise TopicTemplateInvalid(f"'{text}' names no device; write {{device}} for one level")

    def _take(self, depth: int, level: str) -> None:
        capture = CAPTURE.fullmatch(level)
        if capture is not None:
            if capture[1] in dict(self._captures):
                raise TopicTemplateInvalid(f"'{self.text}' names {{{capture[1]}}} twice")
            self._captures.append((capture[1], depth))
        elif level != "+":
            if any(sign in level for sign in "+#{}"):
                raise TopicTemplateInvalid(
                    f"'{self.text}': '{level}' is no level; "
                    "write text, +, {name}, or # at the end"
                )
            self._literals.append((depth, level))

    def overlaps(self, other: TopicTemplate) -> bool:
        """Whether there is a topic that both templates fit."""
        own, others = self._fixed(), other._fixed()
        if len(own) > len(others):
            own, others, is_open = others, own, other._is_open
        else:
            is_open = self._is_open
        if len(own) < len(others) and not is_open:
            return False
        return all(
            one is None or another is None or one == another
            for one, another in zip(own, others, strict=False)
        )

    def _fixed(self) -> list[str | None]:
        """The text of each level; None where any text will do."""
        literals = dict(self._literals)
        return [literals.get(depth) for depth in range(len(self._levels))]

    def match(self, levels: Sequence[str]) -> Mapping[str, str] | None:
        """What the captures stand for in a topic's levels; None when the topic is another one's."""
        if len(levels) < len(self._levels) or (
            len(levels) > len(self._levels) and not self._is_open
        ):
            return None
        if any(levels[depth] != literal for depth, literal in self._literals):
            return None
        captured = {name: levels[depth] for name, depth in self._captures}
        return captured if captured["device"] else None


class DeviceTopics:
    """The templates of a gateway, in order: which device a topic is about."""

    def __init__(self, templates: Sequence[str] = ("+/{device}/#",)) -> None:
        self._templates = [TopicTemplate(text) for text in templates]

    def device_of(self, topic: str) -> str:
        """The device that a topic names; a topic that fits no template is a device of its own."""
        levels = topic.split("/")
        for template in self._templates:
            captured = template.match(levels)
            if captured is not None:
                return captured["device"]
        return topic
