# Intent: a recv on a blocking socket is found.
import asyncio
import socket
import threading
import time

from harmless import turns


async def main():
    await turns(30)
    ours, theirs = socket.socketpair()

    def answer_late():
        time.sleep(0.2)
        theirs.send(b"x")

    threading.Thread(target=answer_late).start()
    ours.recv(1)
    await turns(30)


asyncio.run(main())
