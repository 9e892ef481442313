# SPDX-License-Identifier: Apache-2.0
"""Run jobs that wait for each other, several at a time."""

from collections.abc import Callable
from collections.abc import Sequence
from concurrent import futures
import dataclasses

from lab import failure
from lab import progress


@dataclasses.dataclass(frozen=True)
class Job:
    """One step and the names of the steps that have to end before it."""

    name: str
    action: Callable[[], object]
    after: tuple[str, ...] = ()


def run(jobs: Sequence[Job], at_once: int, report: progress.Report) -> None:
    """Run every job after the jobs it names.

    Of the jobs that are ready the one given first starts first. A name in
    ``after`` that is no job counts as done. Jobs that wait for a failed one
    are left out; all others run.

    :raises LabError: at the end, with what all failed jobs said.
    """
    waiting = {job.name: job for job in jobs}
    running: dict[futures.Future[None], Job] = {}
    failures: list[str] = []

    def timed(job: Job) -> None:
        with progress.step(report, job.name):
            job.action()

    with futures.ThreadPoolExecutor(at_once) as pool:
        while True:
            unfinished = {*waiting, *(job.name for job in running.values())}
            ready = [
                job
                for job in waiting.values()
                if not unfinished.intersection(job.after)
            ]
            for job in ready[: at_once - len(running)]:
                running[pool.submit(timed, job)] = waiting.pop(job.name)
            if not running:
                break
            done, _ = futures.wait(
                running, return_when=futures.FIRST_COMPLETED
            )
            for future in done:
                job = running.pop(future)
                error = future.exception()
                if isinstance(error, failure.LabError):
                    failures.append(str(error))
                    _leave_out(waiting, job.name)
                elif error:
                    raise error
    if failures:
        raise failure.LabError("\n\n".join(failures))


def _leave_out(waiting: dict[str, Job], name: str) -> None:
    """Drop the jobs that can never start, and those that wait for them."""
    for job in [job for job in waiting.values() if name in job.after]:
        if waiting.pop(job.name, None):
            _leave_out(waiting, job.name)
