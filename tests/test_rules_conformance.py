"""The table of docs/rules-conformance.md names every statement, and tests that there are."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "rules-conformance.md"
ROW = re.compile(r"^\| ([A-Z]\d+) \| ([^|]+) \| (\S+\.py)::(test_\w+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text())
COUNTS = {"T": 8, "W": 13, "L": 12, "P": 11, "S": 12, "G": 10}


@cache
def names_in(path):
    return set(re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE))


def test_every_statement_has_its_row():
    wanted = [f"{letter}{n}" for letter, count in COUNTS.items() for n in range(1, count + 1)]
    assert [statement for statement, *_ in ROWS] == wanted


@pytest.mark.parametrize(("statement", "what", "file", "name"), ROWS, ids=lambda one: one[:40])
def test_the_test_of_a_statement_exists(statement, what, file, name):
    path = ROOT / file if file.startswith("tests/") else ROOT / "tests" / "gateway" / "rules" / file
    assert path.exists(), f"{statement}: there is no {path}"
    assert name in names_in(path), f"{statement}: {path} has no {name}"
    assert what.strip()
