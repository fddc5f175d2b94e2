"""A wire that can be cut: a TCP proxy on loopback, in a process of its own.

It takes words on standard input: `open`, `stall` (connections stay, nothing passes, as when a switch drops packets),
`cut` (connections are reset and new ones refused, as when a firewall says no). `Proxy` starts one and says the words;
the process ends with the one that started it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

CHUNK = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends a reset."""


class Proxy:
    """A proxy process. `address` is where to connect."""

    def __init__(self, port: int, target: str) -> None:
        self.port, self.address = port, f"127.0.0.1:{port}"
        command = [sys.executable, "-m", "lab.parts.proxy", str(port), target]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        self._answered()

    def open(self) -> None:
        """Let everything pass."""
        self._say("open")

    def stall(self) -> None:
        """Let nothing pass, and tell nobody."""
        self._say("stall")

    def cut(self) -> None:
        """Reset what is connected, refuse what comes."""
        self._say("cut")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        self._answered()

    def _answered(self) -> None:
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise AssertionError(f"the proxy at {self.address} ended with {self._process.wait()}")


class _Wire:
    """The proxy's own side."""

    def __init__(self, port: int, target: str) -> None:
        self.port = port
        self.host, _, to = target.rpartition(":")
        self.to = int(to)
        self.passing = asyncio.Event()
        self.writers: set[asyncio.StreamWriter] = set()
        self.server: asyncio.Server | None = None

    async def say(self, word: str) -> None:
        if word == "cut":
            self.passing.clear()
            await self._listen(False)
            for writer in list(self.writers):
                writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()
        elif word == "stall":
            self.passing.clear()
        else:
            await self._listen(True)
            self.passing.set()

    async def _listen(self, wanted: bool) -> None:
        if wanted and self.server is None:
            self.server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        elif not wanted and self.server is not None:
            server, self.server = self.server, None
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            await self.passing.wait()
            there, on = await asyncio.open_connection(self.host, self.to)
        except OSError:
            self._end(writer)
            return
        self.writers.add(on)
        await asyncio.gather(self._carry(reader, on), self._carry(there, writer))
        self._end(writer)
        self._end(on)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                await self.passing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()  # the other direction ends with it

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self.writers.discard(writer)
        writer.close()


async def _run(port: int, target: str) -> None:
    wire = _Wire(port, target)
    await wire.say("open")
    print("ready", flush=True)
    while word := await asyncio.to_thread(sys.stdin.readline):
        await wire.say(word.strip())
        print("done", flush=True)
    os._exit(0)  # whoever started it is gone, and nobody wants to hear of the connections that break


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), sys.argv[2]))
