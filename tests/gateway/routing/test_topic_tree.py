"""The tree of names against matching each name by itself."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import matches
from gateway.routing import TopicTree

level = st.sampled_from(["a", "b", "", "$x"])
topics = st.lists(level, min_size=1, max_size=4).map("/".join)
filters = st.lists(st.one_of(level, st.just("+")), min_size=1, max_size=4).map("/".join)
any_filter = st.one_of(filters, filters.map(lambda text: f"{text}/#"), st.just("#"))


@given(st.lists(topics, max_size=12), st.lists(topics, max_size=6), any_filter)
def test_a_filter_finds_the_names_that_it_matches(added, removed, topic_filter):
    tree = TopicTree()
    names: set[str] = set()
    for name in added:
        tree.add(name)
        names.add(name)
    for name in removed:
        if name in names:
            tree.remove(name)
            names.discard(name)
    found = list(tree.match(topic_filter))
    assert sorted(found) == sorted(name for name in names if matches(topic_filter, name))


def test_names_may_be_deep():
    tree = TopicTree()
    deep = "/".join(["a"] * 5_000)
    tree.add(deep)
    assert list(tree.match("#")) == [deep]
