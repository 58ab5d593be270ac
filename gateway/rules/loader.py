"""Rule files to a `RuleSet`: all of it, or every error in it with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from gateway.documents import Section, open_document, read_text
from gateway.errors import Complaint, DocumentInvalid
from gateway.rules.checks import Written, check_set
from gateway.rules.lookups import TABLE_SUFFIXES, read_rows, version_of
from gateway.rules.reading.anatomy import digest_of, schedules_of
from gateway.rules.reading.feeding import with_streams
from gateway.rules.reading.inventories import read_keys
from gateway.rules.reading.reader import Reader
from gateway.rules.reading.references import read_lookups, read_schedules, read_zones
from gateway.rules.reading.rules import References, RuleReader, read_defaults
from gateway.rules.rule_sets import RuleSet
from gateway.rules.spec import Lookup, RuleSpec
from gateway.rules.supported import SUPPORTED

SUFFIXES: Final = (".yaml", ".yml")
TEST_SUFFIXES: Final = tuple(f".test{suffix}" for suffix in SUFFIXES)
VERSION: Final = 1
RULES_MAX: Final = 10_000


@dataclass(slots=True)
class RuleFile:
    """One opened file; its references are read before the rules of any file."""

    document: Section
    reader: Reader
    folder: Path | None
    lookups: dict[str, Lookup] = field(default_factory=dict)


def load_rules(paths: Sequence[Path], supported: frozenset[str] = SUPPORTED) -> RuleSet:
    """Load rule files, and every rule file below the folders among `paths`, as one set.

    `*.test.yaml` files are tests of rules and left alone. An empty folder is an empty set.

    Raises:
        DocumentInvalid: anything is wrong, or a feature is not in `supported`; every error is
        listed.
    """
    texts, complaints = _read(paths)
    return _parse(texts, complaints, supported)


def read_rule_files(paths: Sequence[Path]) -> dict[Path, str]:
    """The texts of the rule files among and below `paths`.

    Raises:
        DocumentInvalid: some can't be read; every one is listed.
    """
    texts, complaints = _read(paths)
    if complaints:
        raise DocumentInvalid(complaints)
    return texts


def parse_rule_files(texts: Mapping[Path, str]) -> RuleSet:
    """Read the texts of rule files as one set, as if they stood at their paths.

    Raises:
        DocumentInvalid: as `load_rules` says.
    """
    return _parse(texts, [], SUPPORTED)


def parse_rules(
    text: str, path: str = "rules.yaml", supported: frozenset[str] = SUPPORTED
) -> RuleSet:
    """Read one rule file's text as a set; `path` is what errors call it.

    Raises:
        DocumentInvalid: anything is wrong, or a feature is not in `supported`; every error is
        listed.
    """
    return _build([_open(text, path, None, supported)], [])


def rule_paths(paths: Iterable[Path]) -> list[Path]:
    """The rule files among and below `paths`, each once, in a fixed order."""
    found: dict[Path, None] = {}
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for candidate in below:
            is_given = candidate == path
            is_rule_file = candidate.suffix in SUFFIXES and candidate.is_file()
            if is_given or (is_rule_file and not candidate.name.endswith(TEST_SUFFIXES)):
                found[candidate] = None
    return list(found)


def _read(paths: Sequence[Path]) -> tuple[dict[Path, str], list[Complaint]]:
    texts: dict[Path, str] = {}
    complaints: list[Complaint] = []
    for path in rule_paths(paths):
        try:
            texts[path] = read_text(path, str(path))
        except DocumentInvalid as error:
            complaints += error.complaints
    return texts, complaints


def _parse(
    texts: Mapping[Path, str], complaints: list[Complaint], supported: frozenset[str]
) -> RuleSet:
    files: list[RuleFile] = []
    for path, text in texts.items():
        try:
            files.append(_open(text, str(path), path.parent, supported))
        except DocumentInvalid as error:
            complaints += error.complaints
    return _build(files, complaints)


def _open(text: str, path: str, folder: Path | None, supported: frozenset[str]) -> RuleFile:
    document = open_document(text, path)
    if document.get("version") is None:
        document.complain(f"missing key 'version'; write version: {VERSION}")
    elif document.integer("version") != VERSION:
        document.complain(f"this program reads version {VERSION} of rule files", "version")
    return RuleFile(document, Reader(document, text, supported), folder)


def _build(files: Sequence[RuleFile], complaints: list[Complaint]) -> RuleSet:
    references = _references(files)
    written: list[Written] = []
    for file in files:
        written += _read_rules(file, references, {item.rule.id: item.rule for item in written})
    warnings = check_set(written)
    inventories = _inventories(files, written)
    _check_enriched(files, written)
    found = {*complaints, *(found for file in files for found in file.document.complaints)}
    if found:
        raise DocumentInvalid(sorted(found, key=lambda complaint: complaint[:3]))
    streams = {rule.id: rule.emit.stream for rule, _ in written if rule.emit is not None}
    rules = [with_streams(rule, streams) for rule, _ in written]
    return RuleSet(
        tuple(
            replace(
                rule,
                source_hash=digest_of(rule, references.zones, references.schedules),
                schedules=schedules_of(rule, references.schedules),
            )
            for rule in rules
        ),
        references.lookups,
        references.zones,
        references.schedules,
        tuple(warnings),
        inventories,
    )


def _references(files: Sequence[RuleFile]) -> References:
    """The lookups, zones and schedules of all files; a name may be given once."""
    all_references = References()
    for file in files:
        own = References(
            _placed(read_lookups(file.document), file.folder),
            read_zones(file.document, lambda name, file=file: _neighbour_text(file, name)),  # type: ignore[misc] # bound now
            read_schedules(file.document),
        )
        file.lookups = own.lookups
        for key, found, known in (
            ("lookups", own.lookups, all_references.lookups),
            ("zones", own.zones, all_references.zones),
            ("schedules", own.schedules, all_references.schedules),
        ):
            for name in found.keys() & known.keys():
                file.document.complain(f"'{name}' is defined in two files", key, at_key=True)
            known.update(found)  # type: ignore[arg-type] # both are of one sort
    return all_references


def _placed(lookups: dict[str, Lookup], folder: Path | None) -> dict[str, Lookup]:
    """The look-ups, their files found from anywhere."""
    if folder is None:
        return lookups
    base = folder.absolute()
    return {name: replace(one, file=str(base / one.file)) for name, one in lookups.items()}


def _check_enriched(files: Sequence[RuleFile], written: Sequence[Written]) -> None:
    """See that the files of look-ups can be read, where they are files of text."""
    used = {one.lookup for rule, _ in written for one in rule.enrich}
    for file in files:
        for name in sorted(file.lookups.keys() & used):
            lookup = file.lookups[name]
            if file.folder is None or lookup.file.endswith(TABLE_SUFFIXES):
                continue
            try:
                version_of(lookup, read_rows(lookup, Path(lookup.file).read_bytes()))
            except (OSError, ValueError) as error:
                file.document.complain(f"look-up '{name}' can't be read: {error}", "lookups")


def _inventories(
    files: Sequence[RuleFile], written: Sequence[Written]
) -> dict[str, tuple[str, ...]]:
    """The keys of every look-up whose silence a rule looks for."""
    watching = {
        absent.expect_lookup: item
        for item in written
        if (absent := item.rule.absent) is not None and absent.expect_lookup is not None
    }
    found = {}
    for file in files:
        for name in sorted(file.lookups.keys() & watching.keys()):
            lookup, item = file.lookups[name], watching[name]
            if lookup.file.endswith(TABLE_SUFFIXES):
                continue
            try:
                found[name] = read_keys(lookup, _neighbour_text(file, lookup.file))
            except (OSError, ValueError) as error:
                file.document.complain(f"look-up '{name}' can't be read: {error}", "lookups")
                continue
            keys_max = item.rule.state.max_keys
            if len(found[name]) > keys_max:
                item.section.complain(
                    f"look-up '{name}' has {len(found[name])} keys, and the rule's state "
                    f"'max_keys' is {keys_max}",
                    "absent",
                )
    return found


def _neighbour_text(file: RuleFile, name: str) -> str:
    """The text of a file that stands beside a rule file."""
    return (file.folder or Path()).joinpath(name).read_text(encoding="utf-8")


def _read_rules(
    file: RuleFile, references: References, earlier: dict[str, RuleSpec]
) -> list[Written]:
    document = file.document
    defaults = read_defaults(file.reader, document, references)
    rule_reader = RuleReader(file.reader, references, defaults)
    document.require("rules")
    sections = document.sections("rules")
    if len(sections) > RULES_MAX:
        document.complain(f"more than {RULES_MAX} rules in one file", "rules")
    found: list[Written] = []
    for section in sections[:RULES_MAX]:
        rule = rule_reader.read(section)
        if rule.id in earlier:
            other = earlier[rule.id]
            place = "" if other.path == rule.path else f", also in {other.path}:{other.line}"
            section.complain(f"duplicate rule id '{rule.id}'{place}", "id")
        elif rule.id:
            earlier[rule.id] = rule
        found.append(Written(rule, section))
    document.finish()
    return found
