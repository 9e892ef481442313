# SPDX-License-Identifier: Apache-2.0
"""Counted calls with injected failures."""

from collections.abc import Callable, Collection
import contextlib
import dataclasses
import functools
from typing import Any

from magnum_k8s_driver import exceptions


_OWN = ("database", "lock")


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a port's method."""

    service: str
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclasses.dataclass
class _Failure:
    error: BaseException
    after: bool
    times: int
    spare: Collection[str] = ()


class Calls:
    """Every call of every port, in order, and the failures to come."""

    def __init__(self) -> None:
        self.log: list[Call] = []
        self.paused = False
        """True: calls neither count nor fail; they are a test's own."""
        self._named: dict[tuple[str, str], list[_Failure]] = {}
        self._numbered: dict[int, _Failure] = {}
        self._meanwhile: dict[int, Callable[[], None]] = {}
        self._repeated: set[int] = set()

    def count(self, service: str = "", method: str = "") -> int:
        """Return how many calls were made, of a service or a method."""
        return sum(
            1
            for call in self.log
            if service in ("", call.service) and method in ("", call.method)
        )

    def fail_next(
        self,
        service: str,
        method: str,
        error: BaseException | None = None,
        *,
        after: bool = False,
        times: int = 1,
    ) -> None:
        """Make the next calls of a method raise.

        :param method: method name, ``*`` for any method of the service.
        :param error: default ``CloudUnavailable``.
        :param after: True: the call takes effect and only its answer is lost.
        """
        failure = _Failure(error or unavailable(service), after, times)
        self._named.setdefault((service, method), []).append(failure)

    def fail_call(
        self,
        number: int,
        error: BaseException,
        *,
        after: bool = False,
        spare: Collection[str] = (),
    ) -> None:
        """Make the call with that number (from 0, of all services) raise.

        :param spare: services of which it is rather the next call.
        """
        self._numbered[number] = _Failure(error, after, 1, spare)

    def meanwhile(self, number: int, action: Callable[[], None]) -> None:
        """Let something happen just before the call with that number.

        Time may pass, for an answer that comes late, or another conductor
        may do its part.
        """
        self._meanwhile[number] = action

    def repeat(self, number: int) -> None:
        """Let the request of that call arrive twice; the last answer counts.

        Neither locks nor Magnum's rows have proxies: rather the next call.

        A proxy that got no answer sends it again.
        """
        self._repeated.add(number)

    def is_due(self) -> bool:
        """Tell whether something is still to happen at some call."""
        return bool(self._numbered or self._meanwhile or self._repeated)

    def stop_failing(self) -> None:
        """Forget everything that has not happened yet."""
        self._named.clear()
        self._numbered.clear()
        self._meanwhile.clear()
        self._repeated.clear()

    def run(
        self,
        service: str,
        method: str,
        function: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Count a call and perform it, or fail as ordered."""
        if self.paused:
            return function(*args, **kwargs)
        number = len(self.log)
        self.log.append(Call(service, method, args, kwargs))
        self._meanwhile.pop(number, lambda: None)()
        failure = self._numbered.pop(number, None)
        if failure is not None and service in failure.spare:
            self._numbered[number + 1] = failure
            failure = None
        failure = failure or self._named_failure(service, method)
        if number in self._repeated and service not in _OWN:
            self._repeated.discard(number)
            with contextlib.suppress(exceptions.K8sDriverError):
                function(*args, **kwargs)
        elif number in self._repeated:
            self._repeated.discard(number)
            self._repeated.add(number + 1)
        if failure is None:
            return function(*args, **kwargs)
        if failure.after:
            function(*args, **kwargs)
        raise failure.error

    def _named_failure(self, service: str, method: str) -> _Failure | None:
        for key in ((service, method), (service, "*")):
            waiting = self._named.get(key)
            if waiting:
                failure = waiting[0]
                failure.times -= 1
                if failure.times <= 0:
                    waiting.pop(0)
                return failure
        return None


def unavailable(service: str) -> exceptions.CloudUnavailable:
    """Return the error of a service that does not answer."""
    return exceptions.CloudUnavailable(service, "no answer")


def counted(service: str) -> Callable[[type], type]:
    """Class decorator: route every public method through ``self.calls``.

    Helpers of a fake that tests call (not the driver) are marked with
    :func:`helper` and stay as they are.
    """

    def wrap(cls: type) -> type:
        for name, function in list(vars(cls).items()):
            plain = callable(function) and not name.startswith("_")
            if plain and not getattr(function, "is_helper", False):
                setattr(cls, name, _routed(service, name, function))
        return cls

    return wrap


def helper(function: Callable[..., Any]) -> Any:
    """Mark a method that only tests call."""
    function.is_helper = True  # type: ignore[attr-defined]
    return function


def _routed(
    service: str, name: str, function: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = functools.partial(function, self)
        return self.calls.run(service, name, bound, *args, **kwargs)

    return method
