"""Token buckets."""

from drink_frontend.domain.rate import TokenBucket


def test_a_full_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    bucket = TokenBucket(per_s=2, burst=3, now=100)
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s(100) == 0.5
    assert not bucket.take(100.4)
    assert bucket.take(100.5)
    assert not bucket.take(100.5)


def test_it_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(per_s=10, burst=2, now=0)
    assert [bucket.take(1_000) for _ in range(3)] == [True, True, False]


def test_what_costs_several_tokens_takes_all_of_them_or_none() -> None:
    bucket = TokenBucket(per_s=1, burst=5, now=0)
    assert bucket.take(0, 4)
    assert not bucket.take(0, 2)
    assert bucket.take(0, 1)
    assert bucket.wait_s(0, 5) == 5
