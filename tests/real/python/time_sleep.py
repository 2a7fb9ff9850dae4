# Intent: time.sleep in a coroutine is found.
import asyncio
import time

from harmless import turns


async def main():
    await turns(30)
    time.sleep(0.2)
    await turns(30)


asyncio.run(main())
