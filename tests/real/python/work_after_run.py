# Intent: work and sleep between and after two loops are nobody's fault.
import asyncio
import time

from harmless import turns


def work(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))


asyncio.run(turns(50))
work(0.5)
asyncio.run(turns(50))
time.sleep(0.3)
work(0.5)
