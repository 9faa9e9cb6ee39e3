"""Work in threads: order, exceptions, and that interrupts leave no thread."""

import random
import signal
import threading
import time

import pytest

from asteroid_tfswa.threads import Threads, WriteBehind, read_ahead


def numbers(n, closed):
    try:
        yield from range(n)
    finally:
        closed.append(threading.current_thread())


def test_read_ahead_gives_all_items_in_order_and_closes_in_its_thread():
    closed = []
    assert list(read_ahead(numbers(50, closed))) == list(range(50))
    assert len(closed) == 1 and closed[0] is not threading.main_thread()


def test_read_ahead_closed_early_closes_its_items():
    closed = []
    ahead = read_ahead(numbers(50, closed))
    assert next(ahead) == 0
    ahead.close()
    assert len(closed) == 1 and closed[0] is not threading.main_thread()


def test_an_exception_of_the_items_comes_after_those_before_it():
    def broken():
        yield 1
        raise OSError("disk")

    ahead = read_ahead(broken())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="disk"):
        next(ahead)


def test_write_behind_calls_in_order_and_waits_at_the_end():
    done = []

    def work(item):
        time.sleep(0.001)
        done.append(item)

    with WriteBehind(work) as behind:
        for i in range(20):
            behind(i)
    assert done == list(range(20))


def test_an_exception_of_a_call_stops_the_calls_behind_it():
    done = []

    def work(item):
        if item == 1:
            raise OSError("full")
        time.sleep(0.01)
        done.append(item)

    with pytest.raises(OSError, match="full"), WriteBehind(work) as behind:
        for i in range(100):
            behind(i)
    assert 0 in done and len(done) < 10


def test_an_exception_of_the_caller_drops_the_calls_that_wait():
    done = []

    def work(item):
        time.sleep(0.05)
        done.append(item)

    with pytest.raises(RuntimeError), WriteBehind(work) as behind:
        for i in range(3):
            behind(i)
        raise RuntimeError
    assert len(done) < 3


def test_calls_end_in_any_order_and_raise_their_own_exceptions():
    first = threading.Event()

    def fail():
        raise OSError("disk")

    with Threads(2) as threads:
        threads.submit(first.wait)
        threads.submit(str, 7)
        assert threads.result() == "7"
        threads.submit(fail)
        with pytest.raises(OSError, match="disk"):
            threads.result()
        first.set()
        assert threads.result() is True


@pytest.fixture
def interrupt_soon():
    """Function that raises KeyboardInterrupt within 3 ms, where this thread is then."""

    def interrupt(*_):
        raise KeyboardInterrupt

    draw, before = random.Random(0), signal.signal(signal.SIGALRM, interrupt)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-5, 3e-3))
    signal.signal(signal.SIGALRM, before)


def test_interrupts_at_any_moment_end_many_calls(interrupt_soon):
    count = threading.active_count()
    for _ in range(100):
        with pytest.raises(KeyboardInterrupt), Threads(2) as threads:
            interrupt_soon()
            for _ in range(300):
                threads.submit(time.sleep, 1e-5)
            for _ in range(300):
                threads.result()
            time.sleep(1)
        assert threading.active_count() == count


def test_interrupts_at_any_moment_end_reading_and_writing(interrupt_soon):
    def blocks():
        while True:
            yield time.sleep(0.0002)

    count = threading.active_count()
    for _ in range(100):
        with pytest.raises(KeyboardInterrupt), WriteBehind(lambda _: None) as behind:
            ahead = read_ahead(blocks())
            try:
                next(ahead)  # both threads run
                interrupt_soon()
                while True:
                    behind(next(ahead))
            finally:
                ahead.close()
        assert threading.active_count() == count
