"""The storage listener: chunks of results, behind a signed URL and the headers of the reply.

It knows no sessions, as cloud storage knows none: whoever holds URL and headers reads the rows.
"""

from __future__ import annotations

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor

from snowgate_standin import tokens
from snowgate_standin.faults import Faults
from snowgate_standin.http import Request, Response
from snowgate_standin.queries import Queries
from snowgate_standin.requestlog import RequestLog
from snowgate_standin.result import ChunkStore

_PATH = re.compile(r"/results/([0-9a-f-]{36})/(json|arrow)/(\d+)-(\d+)")
_ALGORITHM = "x-amz-server-side-encryption-customer-algorithm"
_KEY = "x-amz-server-side-encryption-customer-key"


def _refused(code: str, status: int = 403) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'
    return Response(status, body.encode(), {"content-type": "application/xml"})


class Storage:
    """Answers GETs of chunks."""

    def __init__(
        self, queries: Queries, chunks: ChunkStore, faults: Faults, log: RequestLog
    ) -> None:
        self._queries = queries
        self._chunks = chunks
        self._faults = faults
        self._log = log
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="chunk")

    async def handle(self, request: Request) -> Response:
        self._log.received(request.path, None, None, None)
        fault = self._faults.storage(request.path)
        if fault and "status" in fault.given:
            return _refused("StandinFault", int(fault.given["status"]))
        match = _PATH.fullmatch(request.path)
        if request.method != "GET" or match is None:
            return _refused("NoSuchKey", 404)
        expires = request.query.get("Expires", "0")
        good = tokens.signed(f"{request.path}?{expires}", request.query.get("Signature", ""))
        if not good or not expires.isdigit() or int(expires) < time.time():
            return _refused("AccessDenied")
        query = self._queries.find(match[1])
        if query is None or query.result is None:
            return _refused("NoSuchKey", 404)
        given = (request.headers.get(_ALGORITHM), request.headers.get(_KEY))
        if given != ("AES256", query.result.key):
            return _refused("AccessDenied")
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(
            self._threads,
            self._chunks.body,
            query.result,
            match[2],
            int(match[3]),
            int(match[4]),
        )
        headers = {"content-type": "application/octet-stream", "content-encoding": "gzip"}
        if fault and fault.given.get("corrupt"):
            body = body[: len(body) // 2] + bytes(len(body) - len(body) // 2)
        cut = int(fault.given["cut"]) if fault and "cut" in fault.given else None
        return Response(200, body, headers, cut)
