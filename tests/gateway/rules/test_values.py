import copy
import pickle

import pytest

from gateway.rules.values import UNKNOWN


def test_unknown_has_no_truth():
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(UNKNOWN)


def test_unknown_stays_the_one_instance():
    assert copy.deepcopy([UNKNOWN])[0] is UNKNOWN
    assert pickle.loads(pickle.dumps(UNKNOWN)) is UNKNOWN  # noqa: S301 - our own bytes
    assert repr(UNKNOWN) == "UNKNOWN"
