"""Who goes next, who is let in, and what a text may cost."""

from __future__ import annotations

import os
import threading
import time
import unicodedata
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from slimner import zoo
from slimner.serve import admission
from slimner.serve.admission import COUNTED_CHARACTERS, Queue, QueueFullError, TooLongError, tokenized
from slimner.serve.bundle import open_served
from slimner.serve.engine import LATER, Engine
from slimner.serve.schemas import MOST_TEXT_TOKENS
from slimner.serve.turns import (
    MEMORY,
    ROUND_EVERY,
    SHORT_CHARACTERS,
    SHORT_S,
    SURE_RUNS,
    BehindError,
    DeadlineError,
    GoneError,
    Lane,
    Returning,
    Turn,
    Turns,
)
from slimner.variants import Predictor, open_predictor
from slimner.variants.batching import RUN_TOKENS
from slimner.variants.labels import Labels
from slimner.variants.variant import Batching


def never() -> bool:
    return False


def lined_up(lane: Lane, number: int) -> None:
    end = time.monotonic() + 30
    while len(lane.waiting) < number and time.monotonic() < end:
        time.sleep(0.001)
    assert len(lane.waiting) == number


def run(turns: Turns, requests: dict[str, int], steps: int, held: int = 1) -> str:
    """Who had the turn, step by step, when requests with so many characters lined up in this order.

    Each step does what a window with a part of the characters does.
    """
    order: list[str] = []

    def work(name: str, characters: int) -> None:
        with Turn(turns, time.monotonic() + 30, never, characters) as turn:
            for _ in range(steps):
                order.append(name)
                turn.left -= characters // steps
                turn.offer()

    threads = []
    with Turn(turns, time.monotonic() + 30, never, held) as holder:
        for name, characters in requests.items():
            threads.append(threading.Thread(target=work, args=(name, characters)))
            threads[-1].start()
            lined_up(holder.lane, len(threads))
    for thread in threads:
        thread.join()
    return "".join(order)


def test_short_requests_take_turns_step_by_step() -> None:
    assert run(Turns(), dict.fromkeys("abc", 10), steps=4) == "abc" * 4


def test_of_long_requests_the_one_with_the_least_left_goes_first_but_every_fourth_time() -> None:
    order = run(Turns(), {"A": 90_000, "B": 90_000, "c": 9_000}, steps=9, held=SHORT_CHARACTERS + 1)
    assert ROUND_EVERY == 4
    assert order == "cccAcccBcccAAABAAABAABBBBBB"


def test_a_request_that_held_the_turn_for_long_leaves_it_to_short_ones() -> None:
    turns = Turns()
    with Turn(turns, time.monotonic() + 30, never) as turn:
        assert turn.lane is turns.short
        turn.spent_s = SHORT_S
        turn.offer()
        assert turn.lane is turns.long
        with Turn(turns, time.monotonic() + 30, never) as other:
            assert other.lane is turns.short


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
    assert not turns.short.waiting


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
    kept, tokens = tokenized(predict, ["上海", "中" * 20_000], steps.append)
    assert tokens == 20_002
    assert kept[0] is not None
    assert kept[1] is None


def test_a_text_is_never_decomposed_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of 20,000 combining marks of two kinds took 0.2 s, in which no other thread went on."""
    predict = open_predictor(open_served(zoo.bundle()).model)
    lengths: list[int] = []

    def normalize(form: str, text: str) -> str:
        lengths.append(len(text))
        return unicodedata.normalize(form, text)

    monkeypatch.setattr(admission, "unicodedata", SimpleNamespace(normalize=normalize))
    assert tokenized(predict, ["a" + "\u0301\u0323" * 9_999], lambda _: None)[0] == [None]
    assert sum(lengths) == 19_999
    assert max(lengths) == COUNTED_CHARACTERS


def test_answers_are_those_of_the_predictor_whether_encodings_are_kept_or_not() -> None:
    served = open_served(zoo.bundle())
    engine = Engine(served, threads=1, queue=1, deadline_s=60)
    texts = ["法国总统马克龙将于下周访问上海。", "外交部发言人说。" * 1200, "上海"]
    predict = open_predictor(served.model)
    assert engine.answer(texts).results == [predict(text) for text in texts]


def test_a_long_request_that_could_not_be_answered_in_time_is_refused() -> None:
    engine = Engine(open_served(zoo.bundle()), threads=1, queue=4, deadline_s=600)
    long = "外交部发言人说。" * 400
    assert engine.answer([long]).results  # alone it is taken, whatever it may cost
    assert engine.turns.long.token_s > 0
    assert not engine.turns.long.inside
    engine.turns.long.token_s = 0.1
    with Turn(engine.turns, time.monotonic() + 3600, never, 5_000):
        with pytest.raises(QueueFullError) as caught:
            engine.answer([long])
        assert 200 <= caught.value.retry_s <= 240  # 500 s for the other one and 320 s for this one, of 600 s
        assert engine.answer(["上海"]).results == [[*engine.opened()("上海")]]
    assert engine.answer([long]).results


def test_a_long_request_that_turns_out_not_to_end_in_time_gives_way_to_those_before_it() -> None:
    turns = Turns()
    lane = turns.long
    with Turn(turns, time.monotonic() + 3600, never, 30_000) as first:
        first.left = 20_000
        second = Turn(turns, time.monotonic() + 3600, never, 30_000)
        lane.inside.add(second)
        lane.token_s, lane.runs = 0.1, 1
        second.behind()  # how long a token takes is not known well yet
        lane.runs = SURE_RUNS
        first.behind()  # the one with the least left goes first
        with pytest.raises(BehindError) as caught:
            second.behind()
        assert 1300 <= caught.value.args[0] <= 1401  # 2,000 s for the other one and 3,000 s for this one, of 3,600 s
        lane.leave(first)
        lane.token_s = 1.0
        second.behind()  # alone it is tried, whatever it may cost


def test_a_long_request_works_in_a_thread_that_others_are_preferred_to() -> None:
    engine = Engine(open_served(zoo.bundle()), threads=1, queue=1, deadline_s=60)
    seen: dict[int, int] = {}

    def gone() -> bool:
        thread = threading.get_native_id()
        seen[thread] = os.getpriority(os.PRIO_PROCESS, thread)
        return False

    text = "外交部发言人说。"
    engine.answer([text], gone)
    assert seen == {threading.get_native_id(): os.getpriority(os.PRIO_PROCESS, 0)}
    engine.answer([text * (SHORT_CHARACTERS // len(text) + 1)], gone)
    assert max(seen.values()) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + LATER)


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
            lined_up(turns.short, number)
        else:
            while not model.runs:
                time.sleep(0.001)
    model.begin.set()
    for thread in threads:
        thread.join()
    assert right == [True] * len(lengths)
    return model, turns


def test_a_server_runs_requests_together_that_came_while_it_was_busy() -> None:
    served, model = open_served(zoo.bundle()), Counting()
    engine = Engine(served, threads=1, queue=8, deadline_s=60)
    tokenizer = open_predictor(served.model).tokenizer
    engine._predictor = Predictor(tokenizer, model, Labels(("O", "B-X")), 512, "packed")
    engine.ready = True
    threads = []
    for number, text in enumerate(["上海", "北京市", "外交部说"]):
        threads.append(threading.Thread(target=engine.answer, args=([text],)))
        threads[-1].start()
        if number:
            lined_up(engine.turns.short, number)
        else:
            while not model.runs:
                time.sleep(0.001)
    model.begin.set()
    for thread in threads:
        thread.join()
    assert [len(run) for run in model.runs] == [1, 2]


def test_a_run_waits_only_for_clients_that_usually_ask_again_at_once() -> None:
    clients = Returning()
    clients.moment_s = 1.0
    for second in range(0, 4 * MEMORY, 2):  # one client alone: whoever may come back is there already
        clients.asked(second)
        assert clients.wait_s(second) == 0
        clients.answered(second + 1.5)
    clients = Returning()
    clients.moment_s = 1.0
    for second in range(0, 2 * MEMORY, 2):  # two of them: when one asks again, the other is about to
        clients.answered(second)
        clients.answered(second)
        clients.asked(second + 0.1)
        waited = clients.wait_s(second + 0.1)
        clients.asked(second + 0.2)
    assert waited == pytest.approx(0.9)
    assert clients.wait_s(second + 0.2) == 0
    for second in range(1000, 1000 + 10 * MEMORY, 5):  # others, who do not come back: not worth it
        clients.answered(second)
        clients.answered(second)
        waited = clients.wait_s(second + 0.5)
    assert waited == 0


def test_waiting_for_a_client_ends_when_it_comes_or_the_moment_is_over() -> None:
    turns = Turns()
    lane = turns.short
    lane.returning.moment_s = 600.0
    for _ in range(MEMORY):
        lane.answered()
        lane.returning.asked(time.monotonic())
    with Turn(turns, time.monotonic() + 30, never):
        lane.answered()
        threading.Timer(0.05, Turn(turns, time.monotonic() + 30, never).__enter__).start()
        assert lane.gather()
        lane.returning.moment_s = 0.001
        lane.answered()
        assert not lane.gather()


def test_who_waits_goes_along_in_a_run_and_nobody_waits_for_others() -> None:
    model, turns = asked([[30], [20], [40], [10]], "packed")
    assert model.runs[0] == [30]  # the first found nobody, and went alone
    assert len(model.runs) == 2
    assert sorted(model.runs[1]) == [10, 20, 40]
    assert not turns.short.waiting


def test_a_run_holds_no_more_tokens_than_it_may_and_windows_of_one_length_if_it_has_to() -> None:
    model, _ = asked([[30], [200], [200], [40, 10]], "packed")
    assert all(sum(run) <= RUN_TOKENS for run in model.runs)
    assert sorted(size for run in model.runs for size in run) == [10, 30, 40, 200, 200]
    assert len(model.runs) == 3
    model, _ = asked([[30], [20], [40, 20], [20]], "equal_length")
    assert sorted(model.runs[1:]) == [[20, 20, 20], [40]]
    model, _ = asked([[30], [20], [20]], "alone")
    assert model.runs == [[30], [20], [20]]


class Held:
    """A model whose runs of long windows wait to be let go; notes the lengths, as runs end."""

    def __init__(self) -> None:
        self.ended: list[int] = []
        self.inside = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)

    def __call__(self, window: np.ndarray, /) -> np.ndarray:
        if len(window) > 100:
            self.inside.release()
            self.let_go.acquire(timeout=30)
        self.ended.append(len(window))
        return np.stack((window, window), axis=1).astype(np.float32)


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_short_request_passes_a_long_one_whatever_that_does(concurrent: bool) -> None:
    model, turns = Held(), Turns()
    tokenizer = open_predictor(open_served(zoo.bundle()).model).tokenizer
    predictor = Predictor(tokenizer, model, Labels(("O", "B-X")), 512, concurrent=concurrent)

    def ask(characters: int, sizes: Sequence[int]) -> None:
        with Turn(turns, time.monotonic() + 30, never, characters) as turn:
            turn.want([np.full(size, 1) for size in sizes])
            while turn.wanted:
                turn.offer()
                turn.run(predictor)

    long = threading.Thread(target=ask, args=(20_000, [200, 201, 202]))
    short = threading.Thread(target=ask, args=(30, [30]))
    long.start()
    assert model.inside.acquire(timeout=30)
    short.start()
    if concurrent:
        short.join(30)
        assert model.ended == [30]
    else:  # it cannot run now, and is the next one
        end = time.monotonic() + 30
        while not turns._urgent and time.monotonic() < end:
            time.sleep(0.001)
    for _ in range(3):
        model.let_go.release()
    short.join(30)
    long.join(30)
    assert model.ended == ([30, 200, 201, 202] if concurrent else [200, 30, 201, 202])
