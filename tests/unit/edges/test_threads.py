"""Threads that give way to the engine."""

import os
import threading

from viabtc.edges.threads import NICENESS, background


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_background_threads_are_nicer_and_the_others_stay_as_they_are() -> None:
    before = niceness()
    with background(1, "test") as threads:
        assert threads.submit(niceness).result() == max(NICENESS, before)
    assert niceness() == before
