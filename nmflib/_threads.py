"""One BLAS thread for loops of small products, where several threads wait for each other longer than they compute."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_free = threading.Lock()  # held by the loop that has set the limit


@cache
def _controller() -> Any:
    """What sets the number of threads; None without threadpoolctl, and nothing is changed then."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS uses one thread inside, in the whole process, and as many as before afterwards.

    Of loops that overlap, within each other or in several Python threads, the first one sets the limit and takes it
    away again: OpenBLAS obeys the thread that has set it.
    """
    controller = _controller()
    if controller is None or not _free.acquire(blocking=False):
        yield
        return
    try:
        with controller.limit(limits=1, user_api="blas"):
            yield
    finally:
        _free.release()
