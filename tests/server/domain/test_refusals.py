"""Whoever gives everything back waits, whoever takes something does not, and jobs go elsewhere."""

from __future__ import annotations

from remote_server.domain.refusals import FREE, LONGEST, LONGEST_OF_JOB, Refusals


def test_an_agent_may_give_a_few_back() -> None:
    known = Refusals()
    for number in range(FREE - 1):
        assert known.refused("a", f"j{number}", "it is paused", float(number)) > 0
        assert known.blocked("a", float(number)) == ""
        assert known.remark("a") == ""


def test_who_takes_nothing_waits_twice_as_long_each_time() -> None:
    known, now, waits = Refusals(), 0.0, []
    for number in range(FREE + 12):
        known.refused("a", f"j{number}", "a refused it (disk): no room", now)
        # What came back together counts once.
        known.refused("a", f"k{number}", "a refused it (disk): no room", now)
        begun = now
        while known.blocked("a", now):
            now += 0.5
        waits.append(now - begun)
        now += 0.5
    assert waits[FREE - 1 :][:4] != sorted(waits[FREE - 1 :][:4], reverse=True)
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST
    assert "no room" in known.remark("a")
    # As many rounds as that take most of an hour: no agent turns the queue round and round.
    assert sum(waits) > 1800


def test_who_takes_something_is_trusted_again_step_by_step() -> None:
    known = Refusals()
    for number in range(FREE):
        known.refused("a", f"j{number}", "no", float(number * 100))
    assert "gets the next offer in" in known.blocked("a", (FREE - 1) * 100.0)
    for number in range(FREE):
        known.accepted("a", f"k{number}")
    assert known.remark("a") == ""
    known.refused("a", "j", "no", 10_000.0)
    assert known.blocked("a", 10_000.0) == ""


def test_a_job_goes_elsewhere_meanwhile() -> None:
    known = Refusals()
    assert known.avoided("j", 0.0) == frozenset()
    waits = [known.refused("a", "j", "no", 1000.0 * number) for number in range(9)]
    assert known.avoided("j", 8000.0 + LONGEST_OF_JOB - 1) == {"a"}
    assert known.avoided("j", 8000.0 + LONGEST_OF_JOB) == frozenset()
    assert waits[:3] == [1.0, 2.0, 4.0]
    known.refused("b", "j", "no", 8000.0)
    assert known.avoided("j", 8000.5) == {"a", "b"}
    assert known.avoided("other", 8000.5) == frozenset()
    known.accepted("c", "j")
    assert known.avoided("j", 8000.5) == frozenset()


def test_memory_is_bounded() -> None:
    known = Refusals()
    for number in range(10_100):
        known.refused("a", f"j{number}", "no", 0.0)
    assert known.avoided("j0", 0.1) == frozenset()
    assert known.avoided("j10099", 0.1) == {"a"}
    for number in range(100):
        known.refused(f"a{number}", "j10099", "no", 0.0)
    assert len(known.avoided("j10099", 0.1)) == 64
    known.forget("a")
    assert known.remark("a") == ""
