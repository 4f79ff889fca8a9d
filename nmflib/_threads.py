"""One BLAS thread for loops of small products, in which several threads wait for each other more than they compute."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

_lock = threading.Lock()
_loops = 0  # number of loops that run now
_before: list[int] = []  # number of threads of each library before the first of these loops


@cache
def _libraries() -> list[tuple[Callable[[], int], Callable[[int], object]]]:
    """Functions that get and set the number of threads of each BLAS; none without threadpoolctl.

    OpenBLAS may ignore `set_num_threads` outside the main thread; its `..._local` function works in any thread.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    found = [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]
    return [
        (x.get_num_threads, getattr(x.dynlib, "openblas_set_num_threads_local", None) or x.set_num_threads)
        for x in found
    ]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread in the whole process, and restore the former number at the end.

    Loops may overlap, within each other or in several Python threads: the first one sets the limit, the last one
    removes it.
    """
    global _loops, _before
    libraries = _libraries()
    with _lock:
        if _loops == 0:
            _before = [get() for get, _ in libraries]
            for _, set_threads in libraries:
                set_threads(1)
        _loops += 1
    try:
        yield
    finally:
        with _lock:
            _loops -= 1
            if _loops == 0:
                for (_, set_threads), n in zip(libraries, _before, strict=True):
                    set_threads(n)
