#!/usr/bin/env python3
"""The operations of runtime_benchmark in asyncio: prints {row: nanoseconds} as JSON.

PYTHONASYNCIODEBUG=1 turns its debug mode on, as usual.
"""

import asyncio
import concurrent.futures
import json
import logging
import statistics
import sys
import time
import warnings

OPERATIONS = 5_000
ECHOES = 500


async def yields():
    for _ in range(OPERATIONS):
        await asyncio.sleep(0)


async def leaf(value):
    return value


async def await_leaves():
    for i in range(OPERATIONS):
        await leaf(i)


async def spawn_many():
    for i in range(OPERATIONS):
        await asyncio.create_task(leaf(i))


async def call_soon_chain():
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = OPERATIONS

    def step():
        nonlocal left
        left -= 1
        if left > 0:
            loop.call_soon(step)
        else:
            done.set_result(None)

    loop.call_soon(step)
    await done


async def timer_add_cancel():
    loop = asyncio.get_running_loop()
    for _ in range(OPERATIONS):
        loop.call_later(60, print).cancel()


async def hand_over():
    queue = asyncio.Queue(1)

    async def put():
        for i in range(OPERATIONS):
            await queue.put(i)

    putter = asyncio.create_task(put())
    for _ in range(OPERATIONS):
        await queue.get()
    await putter


async def echo_many():
    async def echo(reader, writer):
        while data := await reader.read(64):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(ECHOES):
        writer.write(b"x" * 64)
        await writer.drain()
        await reader.readexactly(64)
    writer.close()
    server.close()


async def executor_hops():
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for _ in range(ECHOES):
            await loop.run_in_executor(pool, int)


ROWS = {
    "Yield": (yields, OPERATIONS),
    "AwaitLeaf": (await_leaves, OPERATIONS),
    "SpawnAwait": (spawn_many, OPERATIONS),
    "CallSoon": (call_soon_chain, OPERATIONS),
    "TimerAddCancel": (timer_add_cancel, OPERATIONS),
    "QueueHandOver": (hand_over, OPERATIONS),
    "TcpEcho": (echo_many, ECHOES),
    "ExecutorHop": (executor_hops, ECHOES),
}


def main():
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    results = {}
    for name, (row, operations) in ROWS.items():
        times = []
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
            start = time.perf_counter()
            asyncio.run(row())
            times.append((time.perf_counter() - start) / operations * 1e9)
        results[name] = statistics.median(times)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
