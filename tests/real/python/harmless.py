"""What the scripts do besides their one thing: turns of the loop that block nobody."""
import asyncio
import socket


async def turns(count):
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.sock_sendall(left, b"x")
        await loop.sock_recv(right, 1)
        await asyncio.sleep(0.001)
    left.close()
    right.close()
