"""A proxy that cuts connections, and one that HTTPS goes through."""

from __future__ import annotations

import contextlib
import socket
import threading


class CuttingProxy:
    """Forwards TCP to a registry; cuts a connection after so many bytes of the client's.

    ``cuts`` are used up one after the other, by the connections that send so much. With CONNECT,
    as an HTTPS proxy is asked, every host is the registry.
    """

    def __init__(self, target: str, cuts: list[int]) -> None:
        host, _, port = target.rpartition(":")
        self._target, self.cuts = (host, int(port)), cuts
        self.connects: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server, contextlib.suppress(OSError):
            first = client.recv(65536)
            if first.startswith(b"CONNECT "):
                self.connects.append(first.split()[1].decode())
                client.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
                first = b""
            server.sendall(first)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            sent = len(first)
            while part := client.recv(65536):
                server.sendall(part)
                sent += len(part)
                if self.cuts and sent > self.cuts[0]:
                    self.cuts.pop(0)
                    client.shutdown(socket.SHUT_RDWR)
                    server.shutdown(socket.SHUT_RDWR)
                    break
            back.join(5)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
