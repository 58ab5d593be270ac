from dataclasses import replace

from gateway.clock import SystemClock
from gateway.pipeline import HandlerCrew, Surroundings, no_puts
from tests.gateway.pipeline.handlers.conftest import records, route, run_of
from tests.harness.waiting import until


async def test_handlers_work_are_reloaded_and_reported_on_together(shop, store, spec_of, folder):
    specs = [spec_of("echo"), replace(spec_of("gone"), name="g")]
    around = Surroundings(store, shop.desk, route, no_puts, SystemClock())
    crew = HandlerCrew(specs, around)
    assert [one["state"] for one in await crew.report()] == ["starting", "starting"]
    crew.start()
    try:
        await store.append([run_of("t1", b"1")])
        await until(lambda: crew.loops[0].tally.done == 1, "the event to be done")
        await until(lambda: crew.loops[1].broken, "the other to be found broken")
        first, second = await crew.report()
        assert (first["state"], first["done"], first["published"]) == ("running", 1, 1)
        assert (second["state"], second["version"]) == ("degraded", "")
        assert "no function 'gone'" in second["error"]
        figures = {name: figure_of() for name, figure_of in crew.figures().items()}
        assert figures["handlers/done"] == figures["handlers/degraded"] == 1
        source = "def echo(event):\n    return 'new', 1\ndef gone(event): ...\n"
        (folder / "functions_for_handlers.py").write_text(source)
        crew.reload()
        crew.reload()
        await until(lambda: not crew.loops[1].broken, "it to be loaded")
        await store.append([run_of("t1", b"2")])
        await until(lambda: crew.loops[0].tally.done == 2, "the second to be done")
    finally:
        await crew.stop()
    assert len(await records(store, topic="new")) >= 1
