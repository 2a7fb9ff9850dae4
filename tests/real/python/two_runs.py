# Intent: each of two loops, one after the other, has its blocking call found.
import asyncio
import time

from harmless import turns


async def main():
    await turns(30)
    time.sleep(0.2)
    await turns(30)


asyncio.run(main())
asyncio.run(main())
