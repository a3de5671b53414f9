"""Work on several processes or machines, all of it through one interface, `concurrent.futures.Executor`.

A task is a function of a module and arguments that can be pickled; its result depends on these alone. So it does not
matter where a task runs, and when a worker dies the task runs again: dask.distributed gives it to another worker, a
process pool breaks as a whole and what is left runs in this process. How work is cut into tasks must not depend on the
number of workers; then the results do not depend on it either.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from contextlib import contextmanager
from multiprocessing import resource_tracker
from numbers import Integral
from types import FrameType
from typing import Any, Generic, TypeVar

from cpcert.errors import InputError

T = TypeVar("T")

# Seconds to wait for a scheduler, and for its first worker.
PATIENCE = 10

log = logging.getLogger(__name__)


class Task(Generic[T]):
    """A call function(*arguments), made by a worker, or in this process if there is none or it has died."""

    def __init__(self, executor: Executor | None, function: Callable[..., T], arguments: tuple[Any, ...]) -> None:
        self._function, self._arguments = function, arguments
        self._future: Future[T] | None = None
        self._results: list[T] = []
        if executor is not None:
            try:
                self._future = executor.submit(function, *arguments)
            except Exception as error:  # a pool that broke, a scheduler that is gone: each library has its own types
                _report(error)

    def done(self) -> bool:
        """Whether `result` need not wait for a worker."""
        return self._future is None or self._future.done()

    def result(self) -> T:
        """The result; waits for it, or computes it here."""
        if not self._results:
            self._results.append(self._compute())
        return self._results[0]

    def _compute(self) -> T:
        if self._future is not None:
            try:
                return self._future.result()
            except Exception as error:  # the worker's end; or an error of the task itself, which comes again below
                _report(error)
        return self._function(*self._arguments)

    def cancel(self) -> None:
        """Do not begin it any more; what runs already ends by itself."""
        if self._future is not None:
            self._future.cancel()


def _report(error: Exception) -> None:
    log.warning("a worker has failed (%s); its task runs in this process", error or type(error).__name__)


class Workers:
    """An executor (None: this process) and about how many tasks it runs at the same time (0: none but the caller's).

    threads: an executor of this process with as many threads, for tasks that spend their time in kernels without the GIL.
    """

    def __init__(self, executor: Executor | None = None, count: int = 0, threads: Executor | None = None) -> None:
        self.executor, self.count, self.threads = executor, count, threads

    def in_threads(self) -> Workers:
        """The threads, if there are any; else these workers."""
        return self if self.threads is None else Workers(self.threads, self.count, self.threads)

    @property
    def elsewhere(self) -> bool:
        """Whether tasks run in other processes, which a deadline of this one does not reach."""
        return self.executor is not self.threads

    def submit(self, function: Callable[..., T], *arguments: Any) -> Task[T]:
        """The task of calling function(*arguments)."""
        return Task(self.executor, function, arguments)

    def map(self, function: Callable[..., T], arguments: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """The results of function(*a) for each a, in order."""
        tasks = [self.submit(function, *each) for each in arguments]
        try:
            for task in tasks:
                yield task.result()
        finally:
            for task in tasks:
                task.cancel()


HERE = Workers()


def late(deadline: float | None) -> bool:
    """Whether a deadline, a `time.monotonic()`, has passed."""
    return deadline is not None and time.monotonic() > deadline


# Functions that are called when something is deleted: Python's own, and numba's for globals.
FINALISERS = frozenset({"__del__", "on_disposal"})


class OutOfTime(KeyboardInterrupt):
    """A deadline has passed: like Ctrl-C, it ends the work and leaves what is proven."""


def _finalises(frame: FrameType | None) -> bool:
    """Whether the frame was called because something was deleted."""
    while frame is not None:
        if frame.f_code.co_name in FINALISERS or frame.f_globals.get("__name__") == "weakref":
            return True
        frame = frame.f_back
    return False


@contextmanager
def out_of_time_at(deadline: float | None) -> Iterator[None]:
    """Raise OutOfTime in the with block once the deadline, a `time.monotonic()`, has passed.

    By an alarm signal, which only the main thread of a Unix process can have; elsewhere nothing is raised.
    """
    alarm = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if deadline is None or not alarm or math.isinf(deadline):
        yield
        return

    def ring(_: int, frame: FrameType | None) -> None:
        if _finalises(frame):  # an exception would be printed and lost, and the deadline with it
            signal.setitimer(signal.ITIMER_REAL, 1e-2)
        else:
            raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 1e-3))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def wait(tasks: Sequence[Task[Any]], deadline: float | None) -> None:
    """Wait until one of the tasks is done, or for the deadline, a `time.monotonic()`."""
    if not any(task.done() for task in tasks):
        seconds = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        wait_for_futures([task._future for task in tasks if task._future is not None], seconds, FIRST_COMPLETED)


@contextmanager
def at_work(given: Workers | int) -> Iterator[Workers]:
    """The given workers, or so many processes for the time of a with block. Raises InputError for anything else."""
    if isinstance(given, Workers):
        yield given
        return
    if isinstance(given, bool) or not isinstance(given, Integral) or given < 1:
        raise InputError(f"workers: is {given!r}; give a number of processes >= 1, or Workers of cpcert.parallel")
    with workers(int(given)) as crew:
        yield crew


@contextmanager
def workers(count: int = 1, dask: str | None = None) -> Iterator[Workers]:
    """Workers for the time of a with block: `count` processes (1: this process only), or those of a dask cluster.

    dask: the address of a scheduler, like tcp://host:8786. Raises InputError for a count below 1, both a count and a cluster,
    dask not installed, and a cluster that does not answer or has no workers.
    """
    if count < 1:
        raise InputError(f"--workers: is {count}; give a number of processes >= 1")
    if dask is not None:
        if count != 1:
            raise InputError("--workers: is for processes of this machine; leave it out with --dask")
        with _cluster(dask) as cluster:
            yield cluster
    elif count == 1:
        yield HERE
    else:
        # A fork would copy the locks of the libraries' threads.
        pool = _Processes(count, mp_context=multiprocessing.get_context("spawn"))
        threads = ThreadPoolExecutor(count)
        try:
            yield Workers(pool, count, threads)
        finally:
            pool.end()
            threads.shutdown(wait=False, cancel_futures=True)


class _Processes(ProcessPoolExecutor):
    """Processes that Ctrl-C does not reach: it goes to all of a terminal's, and the one that the user started decides."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unfinished: set[Future[Any]] = set()

    def end(self) -> None:
        """Nobody waits for a result any more: what still runs, a long check for one, does not keep the program from its end."""
        processes = list(self._processes.values())
        self.shutdown(wait=False, cancel_futures=True)
        if self._unfinished:
            for process in processes:
                process.terminate()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        # Processes are started here, and inherit what is blocked. (Starting the tracker, which they need, would unblock it.)
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            future = super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future


@contextmanager
def _cluster(address: str) -> Iterator[Workers]:
    try:
        from distributed import Client
    except ImportError:
        raise InputError("--dask: needs dask.distributed (pip install 'cpcert[dask]')") from None
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise InputError(f"--dask: no scheduler answers at {address} ({error})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise InputError(f"--dask: the scheduler at {address} has no workers; start some first") from None
        yield Workers(client.get_executor(pure=False), sum(client.nthreads().values()))
