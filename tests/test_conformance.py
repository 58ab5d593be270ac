from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.conformance import (
    CLIENT,
    CONFORM,
    DEVIATE,
    NOBODY,
    PAGE,
    ROOT,
    STATEMENT,
    UNUSED,
    VERSIONS,
    read_rows,
    report,
    statements_in,
)
from tests.conformance import tested_statements as statements_of_tests

ROWS = read_rows(PAGE.read_text())
EACH = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.statement)
# Appendix B of each specification; 7.0.0-1 to 7.1.2-1 are numbered in 3.1.1 only.
STATEMENTS = {"MQTT5": 251, "MQTT311": 142}


def number(statement):
    return [int(found) for found in re.findall(r"\d+", statement.partition("-")[2])]


def test_each_statement_has_one_row_in_the_table_of_its_version():
    names = [row.statement for row in ROWS]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    for row in ROWS:
        assert STATEMENT.fullmatch(row.statement)
        assert row.heading == f"## {VERSIONS[row.statement.partition('-')[0]]}"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_statement_of_a_version_is_there_in_its_order(version):
    numbers = [number(row.statement) for row in ROWS if row.statement.startswith(f"{version}-")]
    assert len(numbers) == STATEMENTS[version]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_statements_of_a_section_are_numbered_without_a_gap(version):
    # MQTT 5 has no 2.2.1-1.
    last = {(2, 2, 1): 1} if version == "MQTT5" else {}
    for row in ROWS:
        if row.statement.startswith(f"{version}-"):
            *section, index = number(row.statement)
            assert index == last.get(tuple(section), 0) + 1, row.statement
            last[tuple(section)] = index


@EACH
def test_a_status_says_whose_a_statement_is(row):
    if row.is_ours:
        assert row.owner != NOBODY
    else:
        assert row.status == CLIENT or row.status.startswith(UNUSED)
        assert (row.owner, row.proof) == (NOBODY, NOBODY)
    assert not row.status.endswith((UNUSED, DEVIATE))


@pytest.mark.parametrize("row", [row for row in ROWS if row.is_ours], ids=lambda row: row.statement)
def test_the_owner_of_a_statement_cites_it(row):
    assert row.statement in statements_in(ROOT / "gateway" / f"{row.owner}.py")


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.status == CONFORM], ids=lambda row: row.statement
)
def test_a_statement_that_we_conform_to_is_named_by_its_proofs(row):
    assert row.proofs
    assert len(set(row.proofs)) == len(row.proofs)
    for proof in row.proofs:
        assert row.statement in statements_in(ROOT / "tests" / proof)


def test_what_the_code_cites_and_what_the_tests_prove_has_a_row():
    known = {row.statement for row in ROWS}
    for path in (ROOT / "gateway").rglob("*.py"):
        assert statements_in(path) <= known, path
    assert statements_of_tests() <= known


def test_the_report_lists_what_no_test_names():
    first, second, *_ = ours = [row for row in ROWS if row.is_ours]
    everything = {row.statement for row in ROWS}
    lines, is_complete = report(ROWS, everything - {first.statement})
    assert not is_complete
    assert [line for line in lines if "has no test" in line] == [
        f"  {first.statement} has no test: {first.asks}"
    ]
    lines, is_complete = report([second._replace(status=f"{DEVIATE}cost")], everything)
    assert is_complete
    assert f"  {second.statement} is not obeyed: cost" in lines
    assert report(ours, everything)[1]


def test_a_statement_of_clients_needs_no_test():
    clients = [row for row in ROWS if not row.is_ours]
    assert clients
    assert report(clients, set())[1]
