"""What other threads finish, on the loop that waits for it."""

import asyncio
from concurrent.futures import Future
from threading import Thread

from engine.http.waiting import done_within


def finish(*futures):
    for future in futures:
        future.set_result(1)


def test_who_waits_is_told_what_another_thread_has_finished_and_the_loop_is_called_once_for_all(monkeypatch):
    calls = list[object]()

    async def wait() -> list[bool]:
        loop = asyncio.get_running_loop()
        call = loop.call_soon_threadsafe

        def counted(*what):
            calls.append(what)
            return call(*what)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        futures = [Future[int]() for _ in range(100)]
        waiting = [asyncio.create_task(done_within(future, 30)) for future in futures]
        await asyncio.sleep(0)
        thread = Thread(target=finish, args=futures)
        thread.start()
        thread.join()  # the loop cannot come in between
        return await asyncio.gather(*waiting)

    assert (asyncio.run(wait()), len(calls)) == ([True] * 100, 1)


def test_one_that_is_finished_after_the_loop_has_come_calls_it_again():
    async def wait() -> list[bool]:
        found = []
        for _ in range(3):
            future = Future[int]()
            asyncio.get_running_loop().call_later(0.001, Thread(target=finish, args=(future,)).start)
            found.append(await done_within(future, 30))
        return found

    assert asyncio.run(wait()) == [True] * 3


def test_nobody_waits_longer_than_he_said_and_what_is_finished_later_hurts_nobody():
    async def wait() -> list[bool]:
        late, failed, given_up = Future[int](), Future[int](), Future[int]()
        failed.set_exception(OSError())
        found = [await done_within(late, 0), await done_within(late, 0.001), await done_within(failed, 0)]
        task = asyncio.create_task(done_within(given_up, 30))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for future in (late, given_up):
            future.set_result(1)
        await asyncio.sleep(0)
        return [*found, await done_within(late, 30)]

    assert asyncio.run(wait()) == [False, False, True, True]


def test_a_loop_that_has_ended_is_not_called(caplog):
    future = Future[int]()

    async def leave() -> None:
        asyncio.create_task(done_within(future, 30))  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(leave())
    future.set_result(1)
    assert caplog.messages == []  # a callback that fails is logged by the future
