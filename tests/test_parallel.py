"""Searches and tasks on several processes: the same result whoever computes it, and whoever dies meanwhile."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cpcert.cli import main
from cpcert.errors import InputError
from cpcert.oracle import branch
from cpcert.oracle.ascent import ascend
from cpcert.oracle.rung import Limits
from cpcert.oracle.tree_language import node_count
from cpcert.parallel import HERE, Workers, late, workers

# Some 1000 nodes: no direction stands out.
RNG = np.random.default_rng(1)
POINTS, KAPPA = RNG.standard_normal((60, 6)), RNG.standard_normal(60)
KAPPA -= POINTS @ np.linalg.lstsq(POINTS, KAPPA, rcond=None)[0]
LINEAR = -0.5 * KAPPA @ POINTS


def largest():
    """About max f, by local search."""
    rows, factors = np.vstack([POINTS, LINEAR, -LINEAR]), np.append(KAPPA, [1.0, -1.0])
    W = np.random.default_rng(0).standard_normal((200, 6))
    return float(ascend(rows, factors[np.newaxis], 1.0, 0.0, W, np.ones((200, 1)))[2].max())


@pytest.fixture(scope="module")
def cutoff():
    return largest() * (1.0 + 1e-7)


@pytest.fixture(scope="module", autouse=True)
def _small_tasks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branch, "FIRST_NODES", 40)
        patch.setattr(branch, "TASK_NODES", 30)
        yield


def search(cutoff, crew=HERE, node_limit=None, deadline=None, **options):
    limits = Limits(node_limit, deadline, crew)
    return branch.branch_and_bound(POINTS, KAPPA, LINEAR, cutoff, limits, **options)


@functools.cache
def alone(cutoff, limit=None):
    """The search in this process."""
    return search(cutoff, node_limit=limit)


def assert_same(first, second):
    assert (first.closed, first.nodes, first.upper_bound) == (second.closed, second.nodes, second.upper_bound)
    np.testing.assert_array_equal(first.atoms, second.atoms)
    if first.closed:
        np.testing.assert_array_equal(first.proof.tree, second.proof.tree)


class LastFirst(Workers):
    """Workers that finish their tasks in the worst order: the task that is waited for ends when no other is left to run."""

    def __init__(self, count):
        super().__init__(None, count)
        self.tasks = []

    def submit(self, function, *arguments):
        task = Postponed(self, function, arguments)
        self.tasks.append(task)
        return task


class Postponed:
    def __init__(self, crew, function, arguments):
        self.crew, self.call, self.found = crew, (function, arguments), None

    def done(self):
        return self.found is not None

    def run(self):
        function, arguments = self.call
        self.found = function(*arguments)

    def result(self):
        assert self.done()
        return self.found

    def cancel(self):
        pass


@pytest.fixture
def last_first(monkeypatch):
    def wait(tasks, deadline):
        waiting = [task for task in tasks if not task.done()]
        waiting[-1 if waiting[0].crew.count % 2 else 0].run()

    monkeypatch.setattr(branch, "wait", wait)


def test_subtrees_make_up_the_tree_of_one_search(cutoff, monkeypatch):
    found = alone(cutoff)
    monkeypatch.setattr(branch, "FIRST_NODES", 10**9)
    whole = search(cutoff)
    assert whole.closed and whole.nodes > 500
    assert_same(whole, found)
    assert sum(node_count(steps) for steps in found.proof.steps()) == found.nodes


@pytest.mark.parametrize("count", [2, 5])
def test_the_order_of_the_workers_does_not_matter(count, cutoff, last_first):
    """Neither for a proof, nor for neurons above a cutoff, nor for what is known when the nodes are used up."""
    for value, limit in ((1.0, None), (1.0, 0), (1.0, 41), (1.0, 300), (0.995, None), (0.8, None)):
        crew = LastFirst(count)
        found = search(value * cutoff, crew, node_limit=limit)
        assert_same(alone(value * cutoff, limit), found)
        assert limit in (None, found.nodes)
        assert found.closed == (value == 1.0 and limit is None) and (len(found.atoms) > 0) == (value < 1.0)
        assert len(crew.tasks) > count or value < 0.9 or found.nodes <= 41


def test_threads_make_the_same_tree(cutoff):
    """The workers of a command have threads for kernels without the GIL; no process is started for these."""
    with workers(2) as crew:
        assert not crew.in_threads().elsewhere and crew.elsewhere and not HERE.in_threads().elsewhere
        for value in (1.0, 0.8):
            assert_same(alone(value * cutoff), search(value * cutoff, crew))
        assert not crew.executor._processes


def test_a_bound_of_a_search_cut_short_holds(cutoff):
    top = largest()
    for limit in (0, 30, 200):
        # Below the largest value no bound may come from the cutoff.
        result = search(0.9 * cutoff, node_limit=limit, max_atoms=0)
        assert not result.closed and result.proof is None and result.upper_bound >= top
    result = search(cutoff, deadline=time.monotonic() - 1.0)
    assert not result.closed and result.upper_bound >= top


def square_or_die(number, parent, marker):
    """number², except for the worker that gets here first with a 2: it dies."""
    if number == 2 and os.getpid() != parent:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_process_that_dies(cutoff, tmp_path, caplog):
    """The pool is gone, the results come all the same."""
    with workers(2) as crew:
        assert_same(alone(cutoff), search(cutoff, crew))
        assert not caplog.records
        found = list(crew.map(square_or_die, [(k, os.getpid(), str(tmp_path / "dead")) for k in range(6)]))
        assert found == [0, 1, 4, 9, 16, 25] and (tmp_path / "dead").exists()
        assert "runs in this process" in caplog.text
        assert_same(alone(cutoff), search(cutoff, crew))


def test_an_error_of_a_task_is_raised():
    with workers(1) as crew, pytest.raises(ZeroDivisionError):
        crew.submit(divmod, 1, 0).result()


def test_what_is_asked_for_and_impossible(tmp_path, capsys):
    with pytest.raises(InputError, match="--workers: is 0"), workers(0):
        pass
    with pytest.raises(InputError, match="leave it out with --dask"), workers(2, "tcp://127.0.0.1:1"):
        pass
    assert late(time.monotonic() - 1.0) and not late(time.monotonic() + 60.0) and not late(None)
    instance = tmp_path / "x.yaml"
    instance.write_text("data: {source: inline, X: [[1.0], [2.0]], Y: [[1.0], [0.0]]}\nloss: mse\nlambda: 0.1\n")
    assert main(["solve", str(instance), "--workers", "0"]) == 2
    assert capsys.readouterr().err == "cpcert: --workers: is 0; give a number of processes >= 1\n"


class Saboteur(Workers):
    """Workers one of whom is killed when the tenth task is given out."""

    def __init__(self, crew, victim):
        super().__init__(crew.executor, crew.count)
        self.victim, self.given = victim, 0

    def submit(self, function, *arguments):
        self.given += 1
        if self.given == 10:
            os.kill(self.victim, signal.SIGKILL)
        return super().submit(function, *arguments)


@pytest.mark.campaign
def test_a_worker_of_a_cluster_dies(cutoff, monkeypatch, capsys, caplog, tmp_path):
    """Two workers of a local dask cluster, one killed in the middle of a search: the same proof."""
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr("cpcert.parallel.PATIENCE", 1)
    instance = tmp_path / "x.yaml"
    instance.write_text("data: {source: inline, X: [[1.0], [2.0]], Y: [[1.0], [0.0]]}\nloss: mse\nlambda: 0.1\n")
    assert main(["solve", str(instance), "--dask", "tcp://127.0.0.1:1"]) == 2
    assert "--dask: no scheduler answers at tcp://127.0.0.1:1" in capsys.readouterr().err
    monkeypatch.setattr("cpcert.parallel.PATIENCE", 30)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, workers(dask=cluster.scheduler_address) as crew:
        assert crew.count == 2
        with distributed.Client(cluster) as client:
            pids = client.run(os.getpid)
        saboteur = Saboteur(crew, next(iter(pids.values())))
        found = search(cutoff, saboteur)
        assert saboteur.given > 20
        with pytest.raises(ProcessLookupError):
            os.kill(saboteur.victim, 0)
    assert_same(alone(cutoff), found)
    assert found.closed and "runs in this process" not in caplog.text


def test_a_task_that_nobody_waits_for_does_not_outlive_the_program():
    program = """
import time
from cpcert.parallel import workers
if __name__ == "__main__":
    with workers(2) as crew:
        task = crew.submit(time.sleep, 300)
        while not task._future.running():
            time.sleep(0.01)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
