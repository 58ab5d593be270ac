"""Profile files to a `ProfileBook`: all of it, or every error in it with its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import orjson

from gateway.devices.decoders.limits import Decode, DecodeLimits
from gateway.devices.profiles.book import ProfileBook
from gateway.devices.profiles.codec import build_decoder
from gateway.devices.profiles.quotas import read_quota
from gateway.devices.profiles.reading import (
    pick,
    read_fields,
    read_limits,
    read_payload,
    read_time,
)
from gateway.devices.profiles.reporting import read_report, read_sequence
from gateway.devices.profiles.spec import (
    FieldSpec,
    Invalids,
    PayloadSpec,
    Profile,
    TimeField,
    Undecodables,
)
from gateway.devices.registry import NO_QUOTA, DeviceQuota
from gateway.devices.reports import ReportPolicy, SequenceField
from gateway.devices.topics import TopicTemplate, TopicTemplateInvalid
from gateway.documents import Section, did_you_mean, open_document, read_text
from gateway.errors import Complaint, DocumentInvalid, PenstockError

SUFFIXES: Final = (".yaml", ".yml")
VERSION: Final = 1
PROFILES_MAX: Final = 1_000
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
NEIGHBOUR_BYTES_MAX: Final = 4 << 20
CLAIM_BYTES_LEAST: Final = 1 << 10
CLAIM_BYTES_MOST: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """One opened file."""

    document: Section
    folder: Path
    name: str


def load_profiles(paths: Sequence[Path]) -> ProfileBook:
    """Load profile files, and every one below the folders among `paths`, as one book.

    Raises:
        DocumentInvalid: anything is wrong; every error is listed.
    """
    complaints: list[Complaint] = []
    files: list[ProfileFile] = []
    found = profile_paths(paths)
    for path in found[:PROFILES_MAX]:
        try:
            files.append(_open(read_text(path, str(path)), str(path), path.parent))
        except DocumentInvalid as error:
            complaints += error.complaints
    if len(found) > PROFILES_MAX:
        place = str(found[PROFILES_MAX])
        complaints.append(Complaint(place, 1, 1, f"more than {PROFILES_MAX} profiles"))
    return _build(files, complaints)


def parse_profile(text: str, path: str = "profile.yaml") -> ProfileBook:
    """Read the text of one profile as a book; `path` is what errors call it.

    Raises:
        DocumentInvalid: anything is wrong; every error is listed.
    """
    return _build([_open(text, path, Path())], [])


def profile_paths(paths: Iterable[Path]) -> list[Path]:
    """The profile files among and below `paths`, each once, in a fixed order."""
    found: dict[Path, None] = {}
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for candidate in below:
            if candidate == path or (candidate.suffix in SUFFIXES and candidate.is_file()):
                found[candidate] = None
    return list(found)


def _open(text: str, path: str, folder: Path) -> ProfileFile:
    document = open_document(text, path)
    document.require("version", "profile")
    if document.integer("version", VERSION) != VERSION:
        document.complain(f"this program reads version {VERSION} of profiles", "version")
    name = document.text("profile")
    if name and not NAME.fullmatch(name):
        document.complain(
            f"'{name}' is not a profile name (small letters, digits and -)", "profile"
        )
    return ProfileFile(document, folder, name)


def _build(files: Sequence[ProfileFile], complaints: list[Complaint]) -> ProfileBook:
    by_name: dict[str, ProfileFile] = {}
    for file in files:
        other = by_name.setdefault(file.name, file)
        if other is not file:
            file.document.complain(
                f"profile '{file.name}' is also in {other.document.path}", "profile"
            )
    profiles = [ProfileReader(file, by_name).read() for file in files]
    _refuse_overlaps(files, profiles)
    _raise(files, complaints)
    decoders = _decoders(files, profiles)
    _raise(files, complaints)
    return ProfileBook(profiles, decoders)


def _raise(files: Sequence[ProfileFile], complaints: Sequence[Complaint]) -> None:
    found = {*complaints, *(one for file in files for one in file.document.complaints)}
    if found:
        raise DocumentInvalid(sorted(found, key=lambda complaint: complaint[:3]))


def _decoders(files: Sequence[ProfileFile], profiles: Sequence[Profile]) -> dict[str, Decode]:
    """The decoder of each profile; a schema or descriptor that can't be used is a complaint."""
    found: dict[str, Decode] = {}
    for file, profile in zip(files, profiles, strict=True):
        try:
            found[profile.name] = build_decoder(profile)
        except PenstockError as error:
            key = "schema" if "schema" in file.document else "payload"
            file.document.complain(str(error), key)
    return found


def _refuse_overlaps(files: Sequence[ProfileFile], profiles: Sequence[Profile]) -> None:
    """See that each topic has one profile at most."""
    seen: list[tuple[TopicTemplate, str]] = []
    for file, profile in zip(files, profiles, strict=True):
        nodes = file.document.text_nodes("topics")
        for template in profile.topics:
            for other, owner in seen:
                if template.overlaps(other):
                    node = next(node for node in nodes if node.source == template.text)
                    file.document.complain_at(
                        node,
                        f"'{template.text}' overlaps '{other.text}' of profile '{owner}': "
                        "a topic has one profile",
                    )
                    break
            seen.append((template, profile.name))


class ProfileReader:
    """Reads one profile; what its file doesn't say stands in its base, or in the base of that."""

    def __init__(self, file: ProfileFile, by_name: Mapping[str, ProfileFile]) -> None:
        self._file = file
        self._document = file.document
        self._by_name = by_name
        self._chain = self._find_chain()

    def _find_chain(self) -> list[ProfileFile]:
        """The file itself and its bases, nearest first."""
        chain = [self._file]
        while "base" in chain[-1].document:
            document = chain[-1].document
            name = document.text("base")
            base = self._by_name.get(name)
            if base is None:
                hint = did_you_mean(name, self._by_name)
                document.complain(f"there is no profile '{name}'{hint}", "base")
                break
            if base in chain:
                circle = " → ".join(file.name for file in [*chain, base])
                document.complain(f"profiles are each other's base: {circle}", "base")
                break
            chain.append(base)
        return chain

    def read(self) -> Profile:
        """Read everything; what is wrong is a complaint of the file in which it stands."""
        document = self._document
        undecodables: tuple[Undecodables, ...] = get_args(Undecodables)
        invalids: tuple[Invalids, ...] = get_args(Invalids)
        default = Profile("")
        profile = Profile(
            name=self._file.name,
            title=document.text("title"),
            topics=self._topics(),
            payload=self._payload(),
            fields=self._fields(),
            time=self._time(),
            schema=self._schema(),
            limits=self._limits(),
            undecodable=pick(
                self._owner("undecodable").document,
                "undecodable",
                undecodables,
                default.undecodable,
            ),
            invalid=pick(self._owner("invalid").document, "invalid", invalids, default.invalid),
            claim_bytes=self._claim_bytes(),
            quota=self._quota(),
            sequence=self._sequence(),
            report=self._report(),
            path=document.path,
        )
        document.finish("base", "version", "profile")
        self._check_names(profile)
        return profile

    def _owner(self, key: str) -> ProfileFile:
        """The nearest file that has the key, or the profile's own."""
        self._document.get(key)
        return next((file for file in self._chain if key in file.document), self._file)

    def _topics(self) -> tuple[TopicTemplate, ...]:
        found: list[TopicTemplate] = []
        for node in self._document.text_nodes("topics"):
            try:
                found.append(TopicTemplate(node.source))
            except TopicTemplateInvalid as error:
                self._document.complain_at(node, str(error))
        return tuple(found)

    def _payload(self) -> PayloadSpec:
        owner = self._owner("payload")
        section = owner.document.section("payload")
        if section is None:
            return PayloadSpec()
        descriptor = b""
        if "descriptor" in section:
            descriptor = self._neighbour(owner, section, "descriptor")
        return read_payload(section, descriptor)

    def _fields(self) -> tuple[FieldSpec, ...]:
        """The fields of the bases, farthest first, each replaced by a nearer one of its name."""
        self._document.get("fields")
        found: dict[str, FieldSpec] = {}
        for file in reversed(self._chain):
            section = file.document.section("fields")
            if section is not None:
                found.update((field.name, field) for field in read_fields(section))
        return tuple(found.values())

    def _time(self) -> TimeField | None:
        section = self._owner("time").document.section("time")
        return None if section is None else read_time(section)

    def _sequence(self) -> SequenceField | None:
        section = self._owner("sequence").document.section("sequence")
        return None if section is None else read_sequence(section)

    def _report(self) -> ReportPolicy | None:
        section = self._owner("report").document.section("report")
        return None if section is None else read_report(section)

    def _limits(self) -> DecodeLimits:
        section = self._owner("limits").document.section("limits")
        return DecodeLimits() if section is None else read_limits(section)

    def _quota(self) -> DeviceQuota:
        section = self._owner("quota").document.section("quota")
        return NO_QUOTA if section is None else read_quota(section)

    def _claim_bytes(self) -> int | None:
        owner = self._owner("claim_check").document
        if "claim_check" not in owner:
            return None
        return owner.size_bytes("claim_check", least=CLAIM_BYTES_LEAST, most=CLAIM_BYTES_MOST)

    def _schema(self) -> object:
        owner = self._owner("schema")
        if "schema" not in owner.document:
            return None
        content = self._neighbour(owner, owner.document, "schema")
        if not content:
            return None
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as error:
            owner.document.complain(f"the schema is not JSON: {error}", "schema")
            return None

    def _neighbour(self, owner: ProfileFile, section: Section, key: str) -> bytes:
        """What is in a file that stands beside the profile's."""
        name = section.text(key)
        try:
            content = (owner.folder / name).read_bytes()
        except (OSError, ValueError) as error:
            section.complain(f"'{name}' can't be read: {error}", key)
            return b""
        if len(content) > NEIGHBOUR_BYTES_MAX:
            section.complain(f"'{name}' is larger than {NEIGHBOUR_BYTES_MAX} bytes", key)
            return b""
        return content

    def _check_names(self, profile: Profile) -> None:
        """See that fields come from where the format has something."""
        known = profile.payload.names
        if known is None:
            return
        fields = self._document.section("fields") if "fields" in self._document else None
        for field in profile.fields:
            if field.source[0] not in known and fields is not None and field.name in fields:
                hint = did_you_mean(field.source[0], known)
                fields.complain(
                    f"the payload has no '{field.source[0]}'{hint}", field.name, at_key=True
                )
        names = (*known, *(field.name for field in profile.fields))
        time = "" if profile.time is None else profile.time.name
        if time and time not in names:
            hint = did_you_mean(time, names)
            self._document.complain(f"the payload has no '{time}'{hint}", "time")
