from gateway.server.submissions import Submission


def test_a_submission_is_empty_by_itself():
    one, two = Submission(), Submission()
    assert one.runs == one.puts == []
    assert one.runs is not two.runs
