"""TLS in front of a PostgreSQL that has none, as a connection pool or a load balancer puts it there."""

from __future__ import annotations

import asyncio
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lab.parts.certificates import Certificate

WANTS_TLS, WANTS_GSSAPI = struct.pack(">ii", 8, 80877103), struct.pack(">ii", 8, 80877104)
"""What a client says first (PostgreSQL's protocol, message flow, session encryption)."""
YES, NO = b"S", b"N"


@contextmanager
def tls_in_front_of(port: int, certificate: Certificate) -> Iterator[int]:
    """Yield the port of a server that speaks TLS only and passes on to `port`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    loop = asyncio.new_event_loop()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever speaks no TLS, or does not trust us, is hung up on, as is whoever hangs up.
        with suppress(OSError, asyncio.IncompleteReadError):
            while (request := await reader.readexactly(8)) == WANTS_GSSAPI:
                writer.write(NO)
            if request == WANTS_TLS:  # else the client does not go on in TLS
                writer.write(YES)
                await writer.start_tls(context)
                from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(_carry(reader, to_server), _carry(from_server, writer))
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(take, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, name="tls-front")
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
