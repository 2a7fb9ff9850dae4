"""A loop that is blocked on purpose: planted_block.py SECONDS COUNT [stay]

Sleeps SECONDS in COUNT of its callbacks, one every 100 ms, and prints how long it was
blocked and how long the loop ran; then ends, or with `stay` goes on until it is killed.
"""

import asyncio
import sys
import time

blocked = 0.0


def block(seconds):
    global blocked
    begin = time.perf_counter()
    time.sleep(seconds)
    blocked += time.perf_counter() - begin


async def main(seconds, count, stay):
    begin = time.perf_counter()
    for _ in range(count):
        await asyncio.sleep(0.1)
        block(seconds)
    print(f"blocked {blocked:.6f}", flush=True)
    if stay:
        await asyncio.Event().wait()
    print(f"ran {time.perf_counter() - begin:.6f}", flush=True)


asyncio.run(main(float(sys.argv[1]), int(sys.argv[2]), "stay" in sys.argv[3:]))
