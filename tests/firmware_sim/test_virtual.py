from __future__ import annotations

import orjson

from firmware_sim.account import Ledger
from firmware_sim.device import Device, RunPlan
from firmware_sim.line import LineOptions
from firmware_sim.loader import load_scenario
from firmware_sim.sink import Sink
from firmware_sim.virtual import VirtualRun

START_MS = 1_700_000_000_000


def start(name, devices, seed):
    scenario = load_scenario(name)
    ledger = Ledger(keeps_readings=True)
    plan = RunPlan(seed, START_MS, scenario.boot_within_ms)
    actors = [
        Device(
            member,
            plan,
            LineOptions(member.name, response_ms=member.kind.link.response_ms),
            ledger.open_account(member.kind.topic(member.name)),
        )
        for member in scenario.members(devices)
    ]
    return VirtualRun(actors, Sink(), START_MS), ledger


def finish(run, ledger):
    run.command(Device.settle)
    run.run_until(run.now_ms + 60_000)
    run.command(Device.close)
    for taken in run.sink.taken:
        ledger.stored(taken.topic, taken.payload)
    return ledger.settle()


def digest_of(name, seed, cuts):
    run, ledger = start(name, 12, seed)
    for cut_ms in cuts:
        run.run_until(START_MS + cut_ms)
    finish(run, ledger)
    return run.digest.hexdigest()


def test_the_same_seed_gives_the_same_bytes_on_the_wire():
    assert digest_of("pump-station", 7, [30_000]) == digest_of("pump-station", 7, [30_000])


def test_how_a_run_is_cut_up_changes_nothing():
    whole = digest_of("demo", 3, [10_000])
    assert digest_of("demo", 3, [1, 17, 4_000, 4_001, 10_000]) == whole


def test_another_seed_gives_other_bytes():
    assert digest_of("demo", 1, [3_000]) != digest_of("demo", 2, [3_000])


def test_a_device_measures_the_same_in_a_larger_fleet():
    (small, _), (large, _) = start("demo", 4, 1), start("demo", 20, 1)
    for run in (small, large):
        run.run_until(START_MS + 3_000)
    few = {(taken.topic, taken.payload) for taken in small.sink.taken}
    assert few < {(taken.topic, taken.payload) for taken in large.sink.taken}


def test_a_sink_that_forgets_nothing_gets_a_clean_verdict():
    run, ledger = start("pump-station", 12, 5)
    run.run_until(START_MS + 60_000)
    verdict = finish(run, ledger)
    assert sum(ledger.tally.faults.values()) > 20
    assert verdict.missing == verdict.strangers == verdict.disordered == 0
    assert verdict.acknowledged == verdict.taken
    assert verdict.stored_again > 0


def test_a_server_that_dies_and_returns_gets_everything():
    run, ledger = start("demo", 20, 1)
    for second in range(1, 8):
        run.run_until(START_MS + 1_000 * second)
        run.break_all()
    verdict = finish(run, ledger)
    assert verdict.acknowledged == verdict.taken
    assert verdict.missing == verdict.disordered == 0


def test_a_server_that_acknowledges_and_forgets_is_found_out():
    run, ledger = start("demo", 20, 1)
    run.run_until(START_MS + 5_000)
    del run.sink.taken[100:110]
    assert finish(run, ledger).missing == 10


def operated(seed):
    """A greenhouse for a minute whose operator gives orders meanwhile."""
    run, ledger = start("greenhouse", 12, seed)
    for second in range(60):
        run.run_until(START_MS + second * 1_000)
        name = run.actors[second % len(run.actors)].name
        wish = {"interval_s": 0.5 + second % 5}
        run.sink.publish(f"command/{name}/request/{second}", b'{"name": "reboot"}')
        run.sink.publish(f"twin/{name}/desired", orjson.dumps({"version": second, "desired": wish}))
    verdict = finish(run, ledger)
    return run.digest.hexdigest(), ledger.tally.services, verdict


def test_devices_that_are_given_orders_send_the_same_bytes_every_time_and_lose_nothing():
    first, second = operated(5), operated(5)
    assert first == second
    _, services, verdict = first
    assert verdict.is_good
    assert verdict.commands == services["command_obeyed"] > 20
    assert services["restarts"] > 15
    assert services["settings_changed"] > 20
    assert verdict.missing == verdict.disordered == verdict.strangers == 0
