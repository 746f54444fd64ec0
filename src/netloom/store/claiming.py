"""Claims: the right to work on a key, so that workers that share a store do not train the same network twice."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from ..errors import ClaimLostError, StoreError
from .clock import seconds_now
from .finding import existing
from .records import INEXACT, Claim, EvaluationKey, key_values
from .subjects import insert_new
from .tables import claims

_KEY = ("graph_hash", "task_hash", "recipe_hash", "init", "seed", "fidelity", "evaluator")
_OF_KEY = [claims.c[name] == sa.bindparam(f"of_{name}") for name in _KEY]
_SELECT = sa.select(claims).where(*_OF_KEY)
_DELETE_DEAD = sa.delete(claims).where(*_OF_KEY, claims.c.heartbeat + claims.c.grace_seconds < sa.bindparam("now"))
_DEAD = claims.c.heartbeat + claims.c.grace_seconds < sa.bindparam("now")


def this_process() -> str:
    """What claims of this process are filed under: machine, process and thread."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


def is_taken(connection: sa.Connection, key: EvaluationKey, retry: bool) -> bool:
    """Whether there is a result for the key (one that depends on the machine counts unless ``retry``), or a living claim."""
    if _is_done(connection, key, retry):
        return True
    row = connection.execute(_SELECT, _named(key)).first()
    return row is not None and row.heartbeat + row.grace_seconds >= seconds_now(connection)


def claim(
    connection: sa.Connection, key: EvaluationKey, *, holder: str, nonce: str, grace_seconds: float, retry: bool
) -> Claim | None:
    """Take the key if it is free. ``nonce`` tells this call from any other, should the connection break in its commit."""
    now = seconds_now(connection)
    connection.execute(_DELETE_DEAD, {**_named(key), "now": now})
    values = {**key_values(key), "holder": holder, "nonce": nonce, "heartbeat": now, "grace_seconds": grace_seconds}
    connection.execute(insert_new(connection, claims, *_KEY), values)
    row = connection.execute(_SELECT, _named(key)).first()
    if row is None or row.nonce != nonce:
        return None
    # Looked at last: a holder may have committed and let go between a look and the insertion.
    if _is_done(connection, key, retry):
        connection.execute(sa.delete(claims).where(claims.c.token == row.token))
        return None
    return Claim(key, int(row.token), holder, grace_seconds)


def _is_done(connection: sa.Connection, key: EvaluationKey, retry: bool) -> bool:
    there = existing(connection, key)
    return there is not None and not (retry and there.status in INEXACT)


def missing(connection: sa.Connection, keys: Iterable[EvaluationKey], retry: bool) -> list[EvaluationKey]:
    """The keys without a result."""
    return [key for key in keys if not _is_done(connection, key, retry)]


def beat(connection: sa.Connection, claim: Claim) -> None:
    """Say that the holder lives; `ClaimLostError` where the claim is gone."""
    alive = sa.update(claims).where(claims.c.token == claim.token).values(heartbeat=seconds_now(connection))
    if not connection.execute(alive).rowcount:
        raise ClaimLostError(f"the claim of {claim.holder} on graph {claim.key.graph_hash} has ended or was taken over")


def release(connection: sa.Connection, claim: Claim) -> None:
    """Give the key back without a result."""
    connection.execute(sa.delete(claims).where(claims.c.token == claim.token))


def delete_dead(connection: sa.Connection) -> int:
    """Remove the claims whose holders have stopped, and say how many they were."""
    return connection.execute(sa.delete(claims).where(_DEAD), {"now": seconds_now(connection)}).rowcount


def listed(connection: sa.Connection) -> list[dict[str, Any]]:
    """Every claim with the seconds since its last heartbeat."""
    now = seconds_now(connection)
    rows = connection.execute(sa.select(claims).order_by(claims.c.token)).all()
    return [{**row._mapping, "silent_seconds": max(0.0, now - row.heartbeat)} for row in rows]


@contextmanager
def beating(beat: Callable[[], None], grace_seconds: float) -> Iterator[None]:
    """While inside, a thread gives a heartbeat four times in each grace period, until the claim is lost."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(grace_seconds / 4):
            try:
                beat()
            except ClaimLostError:
                return  # the result will be refused, and say so where it can be heard
            except StoreError:
                continue  # the next one may get through; if not, the claim ends as that of a dead worker

    thread = threading.Thread(target=work, name="netloom heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=1.0)


def _named(key: EvaluationKey) -> dict[str, Any]:
    return {f"of_{name}": value for name, value in key_values(key).items()}
