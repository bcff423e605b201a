"""Ending what runs beside the ports of a service."""

import asyncio
import gc
import weakref

import pytest

from viabtc.service import run


def test_a_task_that_missed_its_end_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_CANCEL_S", 0.01)

    async def main() -> None:
        ended = 0

        async def works() -> None:
            nonlocal ended
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    ended += 1
                    if ended > 1:
                        raise

        task = asyncio.create_task(works())
        await asyncio.sleep(0)
        await asyncio.wait_for(run.cancel(task), 30)
        assert task.cancelled()
        assert ended == 2

    asyncio.run(main())


def test_what_a_task_failed_with_is_not_hidden() -> None:
    async def main() -> None:
        async def fails() -> None:
            raise ValueError("broken")

        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="broken"):
            await run.cancel(task)

    asyncio.run(main())


def test_what_a_start_made_is_not_walked_over_and_cycles_of_later_are_collected() -> None:
    class Node:
        """Something that holds itself."""

        def __init__(self) -> None:
            self.itself = self

    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        run.settle()
        assert gc.get_freeze_count() > frozen
        kept = weakref.ref(Node())
        nodes = 0
        while kept() is not None:
            Node()
            nodes += 1
            assert nodes < 100_000, "the collector no longer comes"
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
