from __future__ import annotations

import random

from msgspec import msgpack

from gateway.rules.pages import Pages, Samples


def test_pages_hold_the_samples_whatever_came_and_went_between_two_saves():
    rng, pages, table = random.Random(2), Pages(), {}
    samples, written, taken_total = Samples(0, [], [[], []]), 0, 0
    for _ in range(500):
        added, gone = rng.choice([0, 1, 3, 40]), rng.choice([0, 0, 2, 60])
        times = [samples.taken * 7 + n for n in range(added)]
        columns = [[rng.random() for _ in times], [None if t % 3 else t for t in times]]
        joined = [old + new for old, new in zip(samples.columns, columns, strict=True)]
        samples = Samples(
            samples.taken + added,
            (samples.times + times)[gone:],
            [column[gone:] for column in joined],
        )
        taken_total += added
        for page_no, page in pages.update(samples):
            table.pop(page_no, None)
            if page is not None:
                table[page_no] = msgpack.decode(page)
                written += len(table[page_no][2])
        assert set(table) == {page_no for page_no, _ in pages.ends}
        reread = Pages(pages.ends, pages.next_no).join(table, samples.first, 2)
        assert reread == samples
    assert written < 3 * taken_total


def test_a_missing_page_is_noticed():
    pages = Pages()
    (written,) = pages.update(Samples(3, [1, 2, 3], [[1, 2, 3]]))
    assert written[0] == 0
    assert pages.join({}, 0, 1) is None
