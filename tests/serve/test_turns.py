"""Who goes next, who is let in, and what a text may cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from slimner import zoo
from slimner.serve.admission import Queue, QueueFullError, TooLongError, tokenized
from slimner.serve.bundle import open_served
from slimner.serve.engine import Engine
from slimner.serve.schemas import MOST_TEXT_TOKENS
from slimner.serve.turns import AHEAD, SHORT_S, DeadlineError, GoneError, Turn, Turns
from slimner.variants import Predictor, open_predictor
from slimner.variants.batching import RUN_TOKENS
from slimner.variants.labels import Labels
from slimner.variants.variant import Batching


def never() -> bool:
    return False


def lined_up(turns: Turns, number: int) -> None:
    end = time.monotonic() + 30
    while len(turns._short) + len(turns._long) < number and time.monotonic() < end:
        time.sleep(0.001)
    assert len(turns._short) + len(turns._long) == number


def run(turns: Turns, order: list[str], names: dict[str, float], steps: int = 1) -> None:
    """Requests of these names, each having held the turn for so long, line up in order; each notes its steps."""

    def work(name: str, spent_s: float) -> None:
        turn = Turn(turns, time.monotonic() + 30, never)
        turn.spent_s = spent_s
        with turn:
            for _ in range(steps):
                order.append(name)
                turn.offer()

    threads = []
    with Turn(turns, time.monotonic() + 30, never):
        for name, spent_s in names.items():
            threads.append(threading.Thread(target=work, args=(name, spent_s)))
            threads[-1].start()
            lined_up(turns, len(threads))
    for thread in threads:
        thread.join()


def test_long_requests_take_turns_step_by_step() -> None:
    order: list[str] = []
    run(Turns(), order, dict.fromkeys("abc", 2 * SHORT_S), steps=4)
    assert "".join(order) == "abc" * 4


def test_a_short_request_goes_first_and_every_fourth_turn_is_for_a_long_one() -> None:
    order: list[str] = []
    run(Turns(), order, {"L": 2 * SHORT_S, "M": 2 * SHORT_S} | dict.fromkeys("abcdefgh", 0.0))
    assert AHEAD == 3
    assert "".join(order) == "abcLdefMgh"


def test_who_hung_up_or_is_late_gives_the_turn_on() -> None:
    turns = Turns()
    with Turn(turns, time.monotonic() + 30, never), pytest.raises(DeadlineError):
        Turn(turns, time.monotonic() + 0.01, never).__enter__()
    with pytest.raises(GoneError), Turn(turns, time.monotonic() + 30, lambda: True) as turn:
        turn.offer()
    with pytest.raises(DeadlineError), Turn(turns, 0.0, never) as turn:
        turn.offer()
    assert turns.since == 0
    with Turn(turns, time.monotonic() + 30, never):
        assert turns.since > 0
    assert not turns.waiting()


def refused(enter: Callable[[], object]) -> bool:
    try:
        enter()
    except QueueFullError:
        return True
    return False


def test_texts_of_a_request_count_each_and_leave_places_for_single_ones() -> None:
    queue = Queue(16)
    inside = [queue.place(64)]
    inside[0].__enter__()
    assert queue.texts == 64
    queue.took(1.0, 2)
    assert queue.retry_s() == 32
    assert refused(queue.place(64).__enter__)  # 128 texts are all there may be
    for _ in range(16):
        inside.append(queue.place(1))
        inside[-1].__enter__()
    assert refused(queue.place(1).__enter__)
    for one in inside:
        one.__exit__(None, None, None)
    assert (queue.texts, queue.requests) == (0, 0)


def test_a_request_of_many_texts_is_let_in_when_it_is_the_only_one() -> None:
    queue = Queue(0)
    with queue.place(64):
        assert refused(queue.place(1).__enter__)


def test_tokens_are_counted_before_anything_is_inferred() -> None:
    predict = open_predictor(open_served(zoo.bundle()).model)
    steps: list[str] = []
    with pytest.raises(TooLongError) as caught:
        tokenized(predict, ["上海", "\ufdfa" * 20_000], steps.append)
    assert (caught.value.most, caught.value.index) == (MOST_TEXT_TOKENS, 1)
    assert set(steps) == {"tokenize"}
    assert len(steps) < 10  # it is not all of it that had to be tokenized
    kept = tokenized(predict, ["上海", "中" * 20_000], steps.append)
    assert kept[0] is not None
    assert kept[1] is None


def test_answers_are_those_of_the_predictor_whether_encodings_are_kept_or_not() -> None:
    served = open_served(zoo.bundle())
    engine = Engine(served, threads=1, queue=1, deadline_s=60)
    texts = ["法国总统马克龙将于下周访问上海。", "外交部发言人说。" * 1200, "上海"]
    predict = open_predictor(served.model)
    assert engine.answer(texts).results == [predict(text) for text in texts]


def test_nothing_is_computed_for_a_client_that_hung_up() -> None:
    engine = Engine(open_served(zoo.bundle()), threads=1, queue=1, deadline_s=60)
    engine.start()
    with pytest.raises(GoneError):
        engine.answer(["外交部发言人说。" * 2000], lambda: True)
    assert engine.queue.requests == 0


class Counting:
    """A model that notes the lengths in each run, and answers a window with its ids; runs wait for `begin`."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.begin = threading.Event()

    def __call__(self, window: np.ndarray, /) -> np.ndarray:
        return self.together([window])[0]

    def together(self, windows: Sequence[np.ndarray], /) -> list[np.ndarray]:
        self.runs.append([len(window) for window in windows])
        self.begin.wait(30)
        return [np.stack((window, window), axis=1).astype(np.float32) for window in windows]


def asked(lengths: Sequence[Sequence[int]], batching: Batching) -> tuple[Counting, Turns]:
    """What a model is run with when requests with windows of these lengths come while it runs for the first of them."""
    model, turns = Counting(), Turns()
    tokenizer = open_predictor(open_served(zoo.bundle()).model).tokenizer
    predictor = Predictor(tokenizer, model, Labels(("O", "B-X")), 512, batching)
    right: list[bool] = []

    def ask(windows: list[np.ndarray]) -> None:
        with Turn(turns, time.monotonic() + 30, never) as turn:
            turn.want(windows)
            while turn.wanted:
                turn.offer()
                if turn.wanted:
                    turn.run(predictor)
            right.append(all((turn.found[i][:, 0] == window).all() for i, window in enumerate(windows)))

    threads = []
    for number, sizes in enumerate(lengths):
        windows = [np.full(size, 100 * number + i) for i, size in enumerate(sizes)]
        threads.append(threading.Thread(target=ask, args=(windows,)))
        threads[-1].start()
        if number:
            lined_up(turns, number)
        else:
            while not model.runs:
                time.sleep(0.001)
    model.begin.set()
    for thread in threads:
        thread.join()
    assert right == [True] * len(lengths)
    return model, turns


def test_who_waits_goes_along_in_a_run_and_nobody_waits_for_others() -> None:
    model, turns = asked([[30], [20], [40], [10]], "packed")
    assert model.runs[0] == [30]  # the first found nobody, and went alone
    assert len(model.runs) == 2
    assert sorted(model.runs[1]) == [10, 20, 40]
    assert not turns.waiting()


def test_a_run_holds_no_more_tokens_than_it_may_and_windows_of_one_length_if_it_has_to() -> None:
    model, _ = asked([[30], [200], [200], [40, 10]], "packed")
    assert all(sum(run) <= RUN_TOKENS for run in model.runs)
    assert sorted(size for run in model.runs for size in run) == [10, 30, 40, 200, 200]
    assert len(model.runs) == 3
    model, _ = asked([[30], [20], [40, 20], [20]], "equal_length")
    assert sorted(model.runs[1:]) == [[20, 20, 20], [40]]
    model, _ = asked([[30], [20], [20]], "alone")
    assert model.runs == [[30], [20], [20]]
