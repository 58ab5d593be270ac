from gateway.pipeline import try_function
from tests.gateway.pipeline.handlers.test_occasions import record


async def test_a_function_is_tried_on_one_event(spec_of):
    trial = await try_function(spec_of("echo"), record())
    assert trial.rows == [("echo/t1", b'{"cm":3}', False, 1)]
    assert trial.is_wanted
    assert not trial.error


async def test_it_is_said_why_a_trial_failed(spec_of, folder):
    assert "bad payload" in (await try_function(spec_of("note"), record(payload=b'"bad"'))).error
    assert not (await try_function(spec_of("note"))).error
    assert "no function" in (await try_function(spec_of("gone"))).error
