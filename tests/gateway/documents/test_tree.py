from __future__ import annotations

import pytest

from gateway.documents.tree import DEPTH_MAX, TreeBuilder
from gateway.errors import DocumentInvalid


def built(text):
    builder = TreeBuilder(text, "f.yaml")
    return builder.build(), [str(complaint) for complaint in builder.complaints]


def complaints(text):
    return built(text)[1]


def places(node):
    """Every scalar of a tree with its place, keys before their values."""
    if node.kind == "list":
        return [place for item in node.value for place in places(item)]
    if node.kind == "mapping":
        return [place for pair in node.value for one in pair for place in places(one)]
    return [(node.source, node.line, node.column)]


def test_every_key_and_value_knows_its_place():
    root, _ = built("# first\na: 1\nbö:\n  - x\n  - {c: 'd', e: [f]}\ng: |\n  text\nh:\n")
    assert places(root) == [
        ("a", 2, 1),
        ("1", 2, 4),
        ("bö", 3, 1),
        ("x", 4, 5),
        ("c", 5, 6),
        ("d", 5, 9),
        ("e", 5, 14),
        ("f", 5, 18),
        ("g", 6, 1),
        ("text\n", 6, 4),
        ("h", 8, 1),
        ("", 8, 3),
    ]


def test_a_column_counts_characters_not_bytes():
    root, _ = built("ääää: ü")
    assert places(root)[1] == ("ü", 1, 7)


def test_a_plain_tree_is_python_values():
    root, _ = built("a: [1, 1.5, true, null, '1', on]\nb: {c: {}}\n'10': x")
    assert root.plain() == {"a": [1, 1.5, True, None, "1", "on"], "b": {"c": {}}, "10": "x"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "--- # nothing"])
def test_an_empty_text_has_no_complaint(text):
    root, found = built(text)
    assert (root.value or [], found) == ([], [])


def test_a_byte_order_mark_is_no_character():
    root, found = built("\ufeffa: 1")
    assert (places(root)[0], found) == (("a", 1, 1), [])


def test_a_duplicate_key_is_named_where_it_stands_again():
    root, found = built("a: 1\nb: {c: 1, c: 2}\n'a': 3")
    assert found == ["f.yaml:2:11: duplicate key 'c'", "f.yaml:3:1: duplicate key 'a'"]
    assert root.plain() == {"a": 1, "b": {"c": 1}}


def test_an_anchor_is_refused_where_it_stands():
    assert complaints("a: 1\nb: &x 2") == ["f.yaml:2:4: anchors such as &x are not allowed"]
    assert complaints("a: &x [1]") == ["f.yaml:1:4: anchors such as &x are not allowed"]


def test_an_alias_is_refused_where_it_stands_even_without_its_anchor():
    assert complaints("a: *x") == ["f.yaml:1:4: aliases such as *x are not allowed"]
    assert complaints("a: &x [*x]")[1] == "f.yaml:1:8: aliases such as *x are not allowed"


def test_aliases_of_aliases_cost_nothing():
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert len(complaints("\n".join(lines))) == 30 + 29 * 10


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("a: !!str 3", "!!str"),
        ("a: !secret x", "!secret"),
        ("a: ! 3", "!"),
        ("a: !!set {x}", "!!set"),
        ("a: !!python/object:os.system x", "!!python/object:os.system"),
        ("a: !<my:tag> 1", "my:tag"),
    ],
)
def test_a_tag_is_refused_where_it_stands(text, tag):
    assert complaints(text) == [f"f.yaml:1:4: tags such as {tag} are not allowed"]


def test_a_tag_of_a_key_is_refused():
    assert complaints("!!str a: 1") == ["f.yaml:1:1: tags such as !!str are not allowed"]


def test_a_merge_key_is_refused_and_is_no_key():
    root, found = built("a:\n  <<: {b: 1}\n  c: 2")
    assert found == ["f.yaml:2:3: merge keys (<<) are not allowed"]
    assert root.plain() == {"a": {"c": 2}}


@pytest.mark.parametrize("text", ["[a]: 1", "{a: 1}: 2", "? [a, b]\n: 1"])
def test_a_key_that_is_no_scalar_is_refused(text):
    assert [line.split(": ", 1)[1] for line in complaints(text)] == ["a key must be plain text"]


def test_a_second_document_is_refused_where_it_begins():
    assert complaints("a: 1\n---\nb: 2") == ["f.yaml:2:1: a second document (---) is not allowed"]


def test_every_complaint_of_a_text_is_noted():
    assert len(complaints("a: &x 1\nb: !t 2\n<<: *x\nc: 1\nc: 2\n[d]: 3")) == 6


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_is_bounded(opening):
    with pytest.raises(DocumentInvalid) as caught:
        built(opening * 50_000)
    (complaint,) = caught.value.complaints
    assert complaint.message == f"nested deeper than {DEPTH_MAX} levels"
    assert complaint.column > DEPTH_MAX


def test_the_deepest_nesting_that_is_allowed_is_read():
    root, found = built("[" * DEPTH_MAX + "x" + "]" * DEPTH_MAX)
    assert (places(root), found) == ([("x", 1, DEPTH_MAX + 1)], [])


def test_what_was_wrong_before_the_nesting_is_told_too():
    with pytest.raises(DocumentInvalid) as caught:
        built("a: &x 1\nb: " + "[" * 50)
    assert len(caught.value.complaints) == 2
