"""Intent: blocks its loop for 50 ms each second, and tells how long it really was.

Prints after each block how many there were, and the seconds that they took in all.
"""

import asyncio
import time


async def main():
    seconds = 0.0
    for count in range(1, 1000):
        await asyncio.sleep(1)
        before = time.monotonic()
        time.sleep(0.05)
        seconds += time.monotonic() - before
        print(f"blocked {count} {seconds:.6f}", flush=True)


asyncio.run(main())
