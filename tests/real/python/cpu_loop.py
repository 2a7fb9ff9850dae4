# Intent: a computation in a coroutine is a stall with cause cpu.
import asyncio
import time

from harmless import turns


async def main():
    await turns(30)
    end = time.thread_time() + 0.25
    while time.thread_time() < end:
        sum(range(1000))
    await turns(30)


asyncio.run(main())
