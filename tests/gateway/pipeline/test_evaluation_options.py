from gateway.pipeline.evaluation_options import EvaluationOptions
from gateway.store import StreamSpec


def test_a_derived_stream_has_one_partition_unless_something_else_is_said():
    assert EvaluationOptions().derived_spec("power") == StreamSpec("power", partitions=1)
