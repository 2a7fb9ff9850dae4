# Intent: three waits of 0.2 s, and a step that blocks behind the second.
import asyncio
import time


async def main():
    await asyncio.sleep(0.2)
    await asyncio.sleep(0.2)
    time.sleep(0.2)
    await asyncio.sleep(0.2)


asyncio.run(main())
