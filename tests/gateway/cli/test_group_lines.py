import pytest

from gateway.cli.group_lines import describe_group, kind_of, print_groups, span_text
from gateway.events import Origin, Run
from gateway.store import GroupOffsets, GroupView, StreamSpec
from gateway.store.memory import MemoryStore

GROUP = GroupOffsets("g", 3, {("telemetry", 0): 1})


@pytest.fixture
async def log():
    store = MemoryStore()
    await store.ensure(StreamSpec("telemetry", 1))
    origin = Origin("a/b", "b")
    await store.append([Run("telemetry", 0, "c", 1000, [origin] * 4, [b"x"] * 4, bytes(4))])
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("span_ms", "text"),
    [(None, "-"), (5, "5 ms"), (1500, "1.5 s"), (90_000, "1.5 min"), (172_800_000, "2.0 d")],
)
def test_a_span_is_short(span_ms, text):
    assert span_text(span_ms) == text


async def test_kinds_are_told(log):
    assert await kind_of(log, "rules") == "own"
    await log.table("groups").put("g", b"{}")
    assert await kind_of(log, "g") == "unknown"
    await log.table("groups").put("g", b'{"version":1,"kind":"reading","streams":[]}')
    assert await kind_of(log, "g") == "reading"


async def test_members_are_unknown_when_nobody_may_be_asked(log, capsys):
    described = await describe_group(log, GROUP, None, 3000)
    assert (described["members"], described["records"], described["age_ms"]) == (None, 3, 2000)
    print_groups([described])
    assert capsys.readouterr().out.splitlines()[1].split()[:5] == [
        "g",
        "own",
        "?",
        "telemetry",
        "3",
    ]


async def test_members_are_listed_with_what_they_hold(log):
    view = GroupView("g", 5, [("me", True, True, [("telemetry", 0)])])
    described = await describe_group(log, GROUP, {"g": view}, 3000)
    assert described["generation"] == 5
    assert described["members"] == [
        {"member": "me", "is_present": True, "partitions": ["telemetry/0"]}
    ]


async def test_a_group_that_reads_nothing_has_its_line(log, capsys):
    print_groups([await describe_group(log, GroupOffsets("g", 1, {}), {}, 3000)])
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "g",
        "own",
        "0",
        "-",
        "0",
        "0",
        "B",
        "-",
        "-",
    ]
