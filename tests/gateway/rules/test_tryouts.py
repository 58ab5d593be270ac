import subprocess
import sys

from gateway.rules import parse_rules, parse_trials, rehearse, trials_schema


def test_a_case_can_be_played_through_the_doors():
    file = parse_trials(
        "rules: [x.yaml]\ncases: [{name: a, input: [{topic: t, payload.x: 9}], "
        "expect: [{rule: hot, event: raised}]}]",
        "t.test.yaml",
    )
    rules = parse_rules("version: 1\nrules: [{id: hot, from: t, when: payload.x > 5}]")
    assert rehearse(rules, file.trials[0], lambda topic: topic).failures == ()
    assert trials_schema()["title"] == "Penstock rule tests"


def test_the_engine_does_not_bring_the_tools_along():
    code = "import sys, gateway.rules; print('gateway.rules.trials.rehearsals' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
