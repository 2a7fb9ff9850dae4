# Intent: subprocess.run in a coroutine is found.
import asyncio
import subprocess

from harmless import turns


async def main():
    await turns(30)
    subprocess.run(["sleep", "0.2"], check=True)
    await turns(30)


asyncio.run(main())
