"""One BLAS thread for loops of small products, where several threads wait for each other longer than they compute."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_lock = threading.Lock()
_inside = 0  # loops that run now, in all Python threads: the first one sets the limit, the last one takes it away
_limit: Any = None


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
    """BLAS uses one thread inside, in the whole process, and as many as before afterwards."""
    global _inside, _limit
    with _lock:
        if _inside == 0 and _controller() is not None:
            _limit = _controller().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _limit is not None:
                _limit.restore_original_limits()
                _limit = None
