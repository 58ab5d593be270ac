"""The house's habits as tests: each breach is one line that says where, and what would be right.

Sizes and limits only go down. An exception stands in a table below, with its reason.
"""

from __future__ import annotations

import ast
import functools
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parent.parent
PRODUCT = ("gateway", "firmware_sim")
EVERYTHING = (*PRODUCT, "benchmarks", "tests")

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 60
LONGER_FILES: dict[str, tuple[int, str]] = {}
LONGER_FUNCTIONS: dict[str, tuple[int, str]] = {
    "gateway/rules/fast_runs.py:take_run": (75, "the hot path of all rules: each call costs 2 %"),
}

VAGUE_WORDS = frozenset(
    {"util", "utils", "helper", "helpers", "misc", "common", "manager", "data", "info"}
)
VAGUE_VERBS = frozenset({"process", "handle"})
NAMES_GIVEN_BY_OTHERS = {
    "data_received": "asyncio.Protocol names it",
    "get_extra_info": "asyncio.BaseTransport names it",
    "Session.handle": "the one door of the session, as STYLE grants it",
}

# "Placeholder" is not among them: so RULES.md calls the {names} in messages and topics.
LEFTOVERS = re.compile(r"\b(?:FIXME|XXX|HACK)\b|\bTODO\b(?!\(#\d+\))|\bfor now\b|\bstubs?\b", re.I)

CALLS_BANNED = {
    "time.time": "take the time from gateway.clock, or as an argument",
    "time.time_ns": "take the time from gateway.clock, or as an argument",
    "time.monotonic": "take the time from gateway.clock, or as an argument",
    "datetime.now": "take the time from gateway.clock, or as an argument",
    "datetime.utcnow": "take the time from gateway.clock, or as an argument",
    "asyncio.get_event_loop": "use asyncio.get_running_loop",
    "os.system": "use subprocess.run with a list",
    "pickle.loads": "encode with msgspec, which runs no code",
    "eval": "compile through gateway.rules.expression",
    "exec": "compile through gateway.rules.expression",
}
CALLS_GRANTED = {
    ("gateway/clock.py", "time.time_ns"): "it is the clock",
    ("gateway/clock.py", "time.monotonic_ns"): "it is the clock",
}
CALLS_BANNED_IN_TESTS = {
    "time.sleep": "wait for a condition with tests.harness.waiting.wait_for",
    "asyncio.sleep": "wait with tests.harness.waiting.until, or drive a ManualClock",
}
CALLS_GRANTED_IN_TESTS = {
    ("tests/harness/waiting.py", "time.sleep"): "the one place that waits",
    ("tests/harness/waiting.py", "asyncio.sleep"): "the one place that waits",
}

MODULES_WITHOUT_MIRROR = {
    "__init__.py": "re-exports only",
    "__main__.py": "one call of main, which tests/faults runs",
    "protocol.py": "a Protocol class has no behaviour; the contract suite tests its engines",
    "gateway/cli/serve.py": "a process by nature: tests/faults/test_refusals.py runs it",
}

NOQA = re.compile(r"#\s*noqa\b(?!: [A-Z]+\d+(?:, [A-Z]+\d+)* - \S)")
CITATION = re.compile(r"\[MQTT[^\]\s]*\]")
CITATION_WELL_FORMED = re.compile(r"\[MQTT(?:5|311)-\d+(?:\.\d+)*-\d+\]")


def sources(*trees: str) -> list[Path]:
    """Every Python file of these trees, in order."""
    return [path for tree in trees for path in sorted((ROOT / tree).rglob("*.py"))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def text_of(path: Path) -> str:
    return path.read_text()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path), str(path))


def assert_none(complaints: list[str]) -> None:
    """Fail with one line for each complaint."""
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(path: Path) -> Iterator[tuple[str, Definition]]:
    """Every class and function with its qualified name."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                yield prefix + child.name, child
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    return walk(tree_of(path), "")


def length_of(node: Definition) -> int:
    """Lines from `def` to the last, without the docstring."""
    docstring = 0
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        docstring = (first.end_lineno or 0) - first.lineno + 1
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_no_file_is_longer_than_a_reader_can_hold():
    complaints = []
    for path in sources(*EVERYTHING):
        lines = text_of(path).count("\n")
        limit, _ = LONGER_FILES.get(name_of(path), (FILE_LINES_MAX, ""))
        if lines > limit:
            complaints.append(f"{name_of(path)}: {lines} lines, at most {limit}; split it by noun")
    assert_none(complaints)


def test_no_function_is_longer_than_a_screen():
    complaints = []
    for path in sources(*EVERYTHING):
        for name, node in definitions(path):
            where = f"{name_of(path)}:{node.lineno}"
            limit, _ = LONGER_FUNCTIONS.get(f"{name_of(path)}:{name}", (FUNCTION_LINES_MAX, ""))
            if not isinstance(node, ast.ClassDef) and length_of(node) > limit:
                complaints.append(
                    f"{where}: {name}() has {length_of(node)} lines, at most {limit}; "
                    "name its parts and take them out"
                )
    assert_none(complaints)


def test_exceptions_to_the_limits_are_still_needed():
    for name, (limit, reason) in LONGER_FILES.items():
        assert text_of(ROOT / name).count("\n") > FILE_LINES_MAX, f"{name} needs no exception"
        assert limit < 2 * FILE_LINES_MAX, f"{name}: no reason is good enough: {reason}"
    for name in LONGER_FUNCTIONS:
        path, _, function = name.partition(":")
        assert function in dict(definitions(ROOT / path)), f"{name} is not there any more"
    for path, _ in {**CALLS_GRANTED, **CALLS_GRANTED_IN_TESTS}:
        assert (ROOT / path).exists(), f"{path} is not there any more"


def words_of(name: str) -> list[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_")


def is_vague(name: str) -> bool:
    words = words_of(name)
    return bool(VAGUE_WORDS.intersection(words)) or words[0] in VAGUE_VERBS


def test_names_say_what_they_mean():
    complaints = [
        f"{name_of(path)}: '{path.stem}' says nothing; name it after what it holds"
        for path in sources(*PRODUCT, "benchmarks")
        if is_vague(path.stem)
    ]
    for path in sources(*PRODUCT, "benchmarks"):
        for name, node in definitions(path):
            granted = name in NAMES_GIVEN_BY_OTHERS or node.name in NAMES_GIVEN_BY_OTHERS
            if is_vague(node.name) and not granted:
                complaints.append(
                    f"{name_of(path)}:{node.lineno}: '{node.name}' says nothing; "
                    "take the noun or verb of its layer (docs/glossary.md)"
                )
    assert_none(complaints)


def test_nothing_is_left_over():
    assert_none(
        [
            f"{name_of(path)}:{number}: leftover '{match[0]}'; finish it, or write TODO(#issue)"
            for path in sources(*EVERYTHING)
            if path != Path(__file__)
            for number, line in enumerate(text_of(path).splitlines(), start=1)
            if (match := LEFTOVERS.search(line))
        ]
    )


def test_every_silenced_lint_says_why():
    assert_none(
        [
            f"{name_of(path)}:{number}: write '# noqa: CODE - reason'"
            for path in sources(*EVERYTHING)
            if path != Path(__file__)
            for number, line in enumerate(text_of(path).splitlines(), start=1)
            if NOQA.search(line)
        ]
    )


def called_name(node: ast.Call) -> str:
    """The last two names of what is called: `time.time` for `x.time.time()`."""
    if isinstance(node.func, ast.Name):
        return node.func.id
    if isinstance(node.func, ast.Attribute):
        owner = node.func.value
        name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
        return f"{name}.{node.func.attr}"
    return ""


def is_yield(node: ast.Call) -> bool:
    """`asyncio.sleep(0)` waits for nothing: it lets the others run."""
    return called_name(node) == "asyncio.sleep" and ast.unparse(node.args[0]) == "0"


def banned_calls(
    tree: str, banned: dict[str, str], granted: dict[tuple[str, str], str]
) -> list[str]:
    return [
        f"{name_of(path)}:{node.lineno}: {name}() is banned; {banned[name]}"
        for path in sources(tree)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and (name := called_name(node)) in banned
        and (name_of(path), name) not in granted
        and not is_yield(node)
    ]


def test_banned_calls_have_a_better_one():
    assert_none(
        banned_calls("gateway", CALLS_BANNED, CALLS_GRANTED)
        + banned_calls("tests", CALLS_BANNED_IN_TESTS, CALLS_GRANTED_IN_TESTS)
    )


def test_every_module_has_its_test_file():
    complaints = []
    for path in sources(*PRODUCT):
        mirror = ROOT / "tests" / path.relative_to(ROOT).with_name(f"test_{path.name}")
        is_exempt = not MODULES_WITHOUT_MIRROR.keys().isdisjoint({path.name, name_of(path)})
        if not is_exempt and not mirror.exists():
            complaints.append(f"{name_of(path)}: write {name_of(mirror)}")
    assert_none(complaints)


def test_every_test_file_mirrors_a_module():
    complaints = []
    for tree in PRODUCT:
        for path in sorted((ROOT / "tests" / tree).rglob("test_*.py")):
            place = path.relative_to(ROOT / "tests")
            module = ROOT / place.with_name(place.name.removeprefix("test_"))
            if not module.exists():
                complaints.append(f"{name_of(path)}: there is no {name_of(module)}; move or rename")
    assert_none(complaints)


def test_tests_are_no_package():
    assert_none([f"{name_of(path)}: remove it" for path in (ROOT / "tests").rglob("__init__.py")])


def is_re_export(node: ast.stmt, package: str) -> bool:
    """True for what a package's root may hold beside its docstring."""
    if isinstance(node, ast.ImportFrom):
        own = (node.module or "").startswith(package)
        return own or node.module == "__future__"
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        return names <= {"__all__", "__version__"}
    return False


def test_a_package_root_only_re_exports():
    complaints = []
    for path in sources(*PRODUCT):
        if path.name != "__init__.py":
            continue
        package = path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        body = tree_of(path).body
        if not ast.get_docstring(tree_of(path)):
            complaints.append(f"{name_of(path)}:1: say in one line what the package holds")
        complaints += [
            f"{name_of(path)}:{node.lineno}: a package root holds re-exports and __all__ only; "
            "move this into a module"
            for node in body[1:]
            if not is_re_export(node, package)
        ]
    assert_none(complaints)


def test_a_package_root_exports_all_that_it_imports():
    complaints = []
    for path in sources(*PRODUCT):
        if path.name != "__init__.py":
            continue
        imported, exported = set(), set()
        for node in tree_of(path).body:
            if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                imported |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                exported = set(ast.literal_eval(node.value))
        complaints += [
            f"{name_of(path)}: '{name}' is in only one of imports and __all__"
            for name in sorted((imported ^ exported) - {"__version__"})
        ]
    assert_none(complaints)


def package_of(path: Path) -> str:
    """The dotted name of the package that a file lies in."""
    return path.parent.relative_to(ROOT).as_posix().replace("/", ".")


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, with its line; `from a.b import c` is `a.b`, or `a.b.c`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = ROOT / node.module.replace(".", "/") / f"{alias.name}.py"
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if submodule.exists() else node.module


def import_complaint(importer: str, imported: str) -> str | None:
    """What is wrong when a module of the package `importer` imports `imported`, if anything."""
    layer = ".".join(imported.split(".")[:2])
    if imported == importer or importer.startswith(f"{imported}."):
        if imported in PRODUCT:
            return None
        return f"imports its own root {imported}; import the module that holds the name"
    is_other_package = (ROOT / layer.replace(".", "/")).is_dir() and not (
        importer == layer or importer.startswith(f"{layer}.")
    )
    if is_other_package and imported != layer:
        return f"imports {imported}; across packages import from {layer}"
    return None


def test_imports_keep_to_the_habits():
    complaints = []
    for path in sources(*PRODUCT):
        if path.name == "__init__.py":
            continue
        for line, imported in imports_of(path):
            if not imported.startswith(PRODUCT):
                continue
            if complaint := import_complaint(package_of(path), imported):
                complaints.append(f"{name_of(path)}:{line}: {complaint}")
    assert_none(complaints)


@pytest.mark.parametrize(
    ("importer", "imported", "is_wrong"),
    [
        ("gateway.store", "gateway.events", False),
        ("gateway.store", "gateway.events.records", True),
        ("gateway.store", "gateway.store.protocol", False),
        ("gateway.store", "gateway.store", True),
        ("gateway.store.sqlite", "gateway.store", True),
        ("gateway.store.sqlite", "gateway.store.protocol", False),
        ("gateway.store", "gateway.store.sqlite", False),
        ("gateway.store", "gateway.errors", False),
        ("gateway.cli", "gateway", False),
        ("firmware_sim", "gateway.mqtt", False),
        ("firmware_sim", "gateway.mqtt.packets", True),
    ],
)
def test_the_import_habits_are_judged_rightly(importer, imported, is_wrong):
    assert (import_complaint(importer, imported) is not None) is is_wrong


def test_imports_point_down(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    status = lint_imports(no_cache=True)
    # It configures logging, which silences every logger that exists by then.
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
    if status != EXIT_STATUS_SUCCESS:
        _, _, broken = capsys.readouterr().out.partition("Broken contracts")
        assert_none([line for line in broken.splitlines() if line.strip("- ")])


def test_citations_name_the_version_and_the_statement():
    assert_none(
        [
            f"{name_of(path)}:{number}: write {match[0]} as [MQTT5-3.3.1-4] or [MQTT311-3.1.2-24]"
            for path in sources(*PRODUCT)
            for number, line in enumerate(text_of(path).splitlines(), start=1)
            for match in CITATION.finditer(line)
            if not CITATION_WELL_FORMED.fullmatch(match[0])
        ]
    )
