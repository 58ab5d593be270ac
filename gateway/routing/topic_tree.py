"""Topic names in a tree, so that a filter with wildcards finds those it matches.

The mirror image of `subscriptions`: there one name looks for filters, here one filter for names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Branch:
    """One level of topic names; `topic` is set where a name ends."""

    below: dict[str, Branch] = field(default_factory=dict)
    topic: str | None = None


class TopicTree:
    """A set of topic names."""

    def __init__(self) -> None:
        self._root = Branch()

    def add(self, topic: str) -> None:
        """Take a name in; nothing changes when it is there."""
        branch = self._root
        for name in topic.split("/"):
            branch = branch.below.setdefault(name, Branch())
        branch.topic = topic

    def remove(self, topic: str) -> None:
        """Take a name out that is in the tree."""
        path: list[tuple[Branch, str]] = []
        branch = self._root
        for name in topic.split("/"):
            path.append((branch, name))
            branch = branch.below[name]
        branch.topic = None
        for above, name in reversed(path):
            below = above.below[name]
            if below.below or below.topic is not None:
                break
            del above.below[name]

    def match(self, topic_filter: str) -> Iterator[str]:
        """Every name that a filter matches; the tree may change while this is read.

        Spec: MQTT5 §4.7, MQTT311 §4.7
        """
        return self._walk(self._root, topic_filter.split("/"), 0)

    def _walk(self, branch: Branch, levels: list[str], depth: int) -> Iterator[str]:
        if depth == len(levels):
            if branch.topic is not None:
                yield branch.topic
            return
        level = levels[depth]
        if level == "#":
            yield from self._all(branch, at_top=depth == 0)
        elif level == "+":
            for name, below in list(branch.below.items()):
                # A wildcard does not match a first level that begins with $ [MQTT5-4.7.2-1].
                if depth or not name.startswith("$"):
                    yield from self._walk(below, levels, depth + 1)
        elif level in branch.below:
            yield from self._walk(branch.below[level], levels, depth + 1)

    def _all(self, branch: Branch, *, at_top: bool) -> Iterator[str]:
        """Every name at and below a branch, without recursion: names may be deep."""
        waiting = [branch]
        while waiting:
            branch = waiting.pop()
            if branch.topic is not None:
                yield branch.topic
            for name, below in branch.below.items():
                if not (at_top and name.startswith("$")):
                    waiting.append(below)
            at_top = False
