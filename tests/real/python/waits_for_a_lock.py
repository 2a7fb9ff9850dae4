"""Intent: a loop that waits for a lock which a thread holds for 50 ms, again and again."""

import asyncio
import threading
import time

lock = threading.Lock()


def hold():
    while True:
        with lock:
            time.sleep(0.05)
        time.sleep(0.05)


async def main():
    threading.Thread(target=hold, daemon=True).start()
    while True:
        await asyncio.sleep(0.06)
        with lock:
            pass


asyncio.run(main())
