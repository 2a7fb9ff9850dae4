# Intent: the same calls on other threads and in other processes are not accused.
import asyncio
import time

from harmless import turns


async def main():
    loop = asyncio.get_running_loop()
    sleeping = await asyncio.create_subprocess_exec("sleep", "0.2")
    await asyncio.gather(
        turns(100),
        loop.run_in_executor(None, time.sleep, 0.2),
        loop.getaddrinfo("localhost", 80),
        sleeping.wait(),
    )


asyncio.run(main())
