"""An HTTP/1.1 client that sends exactly the bytes it is given and keeps what it gets as it is: for
requests that no library would send, and answers that must be compared to the letter."""

import dataclasses
import json
import socket


@dataclasses.dataclass
class Answer:
    status: int
    headers: list  # of (lower-case name, value), in order
    body: bytes

    def header(self, name):
        """All values of a header joined by ", "; None where there is none."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    def json(self):
        return json.loads(self.body)


class Connection:
    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.settimeout(timeout)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.pending += data
        return bool(data)

    def _line(self):
        while b"\r\n" not in self.pending:
            if not self._more():
                raise EOFError("closed inside a line")
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line

    def _exactly(self, count):
        while len(self.pending) < count:
            if not self._more():
                raise EOFError("closed inside a body")
        data, self.pending = self.pending[:count], self.pending[count:]
        return data

    def _chunked(self):
        body = b""
        while size := int(self._line().split(b";")[0], 16):
            body += self._exactly(size)
            assert self._line() == b"", "a chunk does not end with CRLF"
        while self._line():
            pass
        return body

    def answer(self, method="GET"):
        """The next final answer (interim ones are skipped), or None where the peer has closed."""
        while True:
            if not self.pending and not self._more():
                return None
            version, status, *_ = self._line().split(b" ", 2)
            assert version == b"HTTP/1.1", version
            headers = []
            while line := self._line():
                name, _, value = line.partition(b":")
                headers.append((name.decode("latin-1").lower(), value.strip().decode("latin-1")))
            if int(status) >= 200:
                break
        answer = Answer(int(status), headers, b"")
        length = answer.header("content-length")
        if method == "HEAD" or answer.status in (204, 304):
            pass
        elif answer.header("transfer-encoding") == "chunked":
            answer.body = self._chunked()
        elif length is not None:
            answer.body = self._exactly(int(length))
        else:
            while self._more():
                pass
            answer.body, self.pending = self.pending, b""
        return answer

    def is_closed(self, within=60):
        """Whether the peer closes within so many seconds, sending nothing more."""
        self.socket.settimeout(within)
        try:
            return not self.pending and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def build(method, target, headers=(), body=b"", host="example.com"):
    """The bytes of a request; content-length is added where there is a body."""
    lines = [f"{method} {target} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def fetch(port, target, method="GET", headers=(), body=b"", host="example.com", timeout=60):
    """One request on a connection of its own; EOFError where it is closed without an answer."""
    with Connection(port, timeout) as connection:
        connection.send(build(method, target, [*headers, ("Connection", "close")], body, host))
        answer = connection.answer(method)
    if answer is None:
        raise EOFError("closed without an answer")
    return answer
