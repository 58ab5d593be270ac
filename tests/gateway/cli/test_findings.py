from gateway.cli.findings import Finding, Level


def test_a_finding_needs_advice_only_when_something_is_wrong():
    assert Finding(Level.ok, "disk", "fine").advice == ""
    assert f"{Level.fail:<5}" == "fail "
