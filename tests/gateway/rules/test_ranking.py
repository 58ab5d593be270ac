import random

from gateway.rules.ranking import Candidate, best


def test_the_order_is_that_of_a_sort_whatever_came_first():
    rng = random.Random(1)
    for _ in range(50):
        found = [Candidate(rng.randint(0, 4), f"n{n}", n) for n in range(rng.randint(0, 12))]
        rng.shuffle(found)
        take = rng.randint(1, 6)
        assert best(found, take) == sorted(found, key=lambda c: (-c.score, c.name))[:take]
        assert best(found, take, "asc") == sorted(found, key=lambda c: (c.score, c.name))[:take]
