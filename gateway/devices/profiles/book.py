"""Every profile of a gateway: which one a topic belongs to, and how its payloads are decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.devices.decoders.limits import Decode
from gateway.devices.profiles.codec import build_decoder
from gateway.devices.profiles.spec import Profile


class ProfileBook:
    """Profiles whose templates don't overlap, with their decoders."""

    def __init__(
        self, profiles: Sequence[Profile] = (), decoders: Mapping[str, Decode] | None = None
    ) -> None:
        """Take profiles, and those decoders by profile name that are built already.

        Raises:
            PenstockError: a schema or descriptor can't be used.
        """
        self.profiles = tuple(profiles)
        self._decoders = dict(decoders or {})
        self._watchers: list[Callable[[], object]] = []
        for profile in self.profiles:
            if profile.name not in self._decoders:
                self._decoders[profile.name] = build_decoder(profile)

    def watch(self, forget: Callable[[], object]) -> None:
        """Let somebody hear when the profiles are others: what was remembered of them is over."""
        self._watchers.append(forget)

    def replace(self, other: ProfileBook) -> None:
        """Hold what another book holds, from now on."""
        self.profiles, self._decoders = other.profiles, other._decoders
        for forget in self._watchers:
            forget()

    def __len__(self) -> int:
        return len(self.profiles)

    @property
    def templates(self) -> tuple[str, ...]:
        """Every topic template, as it is written."""
        return tuple(own.text for profile in self.profiles for own in profile.topics)

    def named(self, name: str) -> Profile | None:
        """The profile of that name."""
        return next((profile for profile in self.profiles if profile.name == name), None)

    def profile_of(self, topic: str) -> Profile | None:
        """The profile of a topic; None when there is none. Keep the answer: this looks at all."""
        levels = topic.split("/")
        for profile in self.profiles:
            if any(own.match(levels) is not None for own in profile.topics):
                return profile
        return None

    def captures_of(self, topic: str) -> Mapping[str, str]:
        """What the captures of the profile's template stand for in a topic; empty without one."""
        levels = topic.split("/")
        for profile in self.profiles:
            for own in profile.topics:
                captured = own.match(levels)
                if captured is not None:
                    return captured
        return {}

    def decoder_named(self, name: str) -> Decode:
        """The decoder of a profile.

        Raises:
            KeyError: there is no such profile.
        """
        return self._decoders[name]

    def decoder_of(self, topic: str) -> Decode | None:
        """How the payloads of a topic are decoded; None when no profile says. Keep the answer."""
        profile = self.profile_of(topic)
        return None if profile is None else self._decoders[profile.name]
