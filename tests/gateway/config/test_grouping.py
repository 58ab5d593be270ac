from pathlib import Path

import pytest

from gateway.config.loader import load_config
from gateway.errors import DocumentInvalid
from gateway.store import GroupOptions


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = Path(tmp_path / "gateway.yaml")
        path.write_text(text)
        return load_config(path)

    return load


@pytest.mark.parametrize("text", ["version: 1", "groups: {}"])
def test_what_is_not_written_keeps_what_the_store_says(load, text):
    assert load(text).groups == GroupOptions()


def test_every_limit_of_groups_can_be_set(load):
    found = load("groups: {groups: 3, members: 4, leased: 5}").groups
    assert (found.groups_max, found.members_max, found.leased_max) == (3, 4, 5)
    assert found.reserved == GroupOptions().reserved


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("groups: {groups: 0}", "at least 1"),
        ("groups: {leased: 100001}", "at most 100000"),
        ("groups: {member: 4}", "did you mean 'members'"),
    ],
)
def test_a_limit_that_will_not_do_is_refused(load, text, complaint):
    with pytest.raises(DocumentInvalid) as caught:
        load(text)
    assert complaint in str(caught.value)
