"""Everybody runs once a round, in the same order, and ratios are taken round by round."""

from detector.benchmark.rounds import Spread, ratio, spread, take_turns


def test_contestants_run_in_turn() -> None:
    calls: list[str] = []
    said: list[str] = []

    def contestant(name: str):
        def lap() -> int:
            calls.append(name)
            return len(calls)

        return lap

    laps = take_turns({"a": contestant("a"), "b": contestant("b")}, 3, said.append)
    assert calls == ["a", "b"] * 3
    assert laps == {"a": [1, 3, 5], "b": [2, 4, 6]}
    assert said == ["round 1 of 3", "round 2 of 3", "round 3 of 3"]


def test_ratios_are_taken_round_by_round() -> None:
    assert ratio([20.0, 40.0, 90.0], [10.0, 10.0, 30.0]) == 3.0


def test_spread() -> None:
    assert spread(list(range(101))) == Spread(5.0, 50.0, 95.0)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)
