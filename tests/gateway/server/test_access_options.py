from gateway.devices import ROLES
from gateway.server import AccessOptions


def test_by_default_nobody_from_elsewhere_is_waited_for():
    options = AccessOptions()
    assert not options.are_required
    assert AccessOptions("required").are_required
    assert options.roles is ROLES
