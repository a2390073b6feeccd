"""The queue that wakes workers: Procrastinate on PostgreSQL. It only wakes and distributes; `runs` is the truth.

A job may be lost, repeated or late without harm: whoever gets one asks the record whether the run is to be had.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from deskloom.errors import SettingInvalid
from deskloom.record.engine import Record
from deskloom.record.queue import SCHEMA, Scripts, conninfo

if TYPE_CHECKING:
    import procrastinate

log = structlog.get_logger(__name__)

NAME = "deskloom"
"""The queue's name, which is also that of the channel its workers listen on."""
PERFORM, ASSIST = "deskloom.perform", "deskloom.assist"
CONNECTIONS = 4
OPENED_WITHIN = 15.0

Work = Callable[[str, int], Awaitable[None]]
"""Does a job: the run's id, and its fence where that matters."""


def library() -> Any:
    """The library, or a sentence that says how to get it."""
    try:
        import procrastinate
    except ImportError as error:
        raise SettingInvalid(
            'DESKLOOM_DISPATCH=procrastinate needs two more packages. Install them: pip install "deskloom[workers]"',
            setting="DESKLOOM_DISPATCH",
        ) from error
    return procrastinate


def scripts() -> Scripts:
    """The installed library's tables."""
    library()
    from procrastinate.schema import SchemaManager

    folder = Path(SchemaManager.get_migrations_path())
    steps = [(path.name, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.sql"))]
    return Scripts(SchemaManager.get_schema(), steps)


class Queue:
    """Jobs of one record's database. `perform` and `assist` do them where this process works."""

    def __init__(self, record: Record, *, perform: Work, assist: Work) -> None:
        self._library = library()
        connector = self._library.PsycopgConnector(
            conninfo=conninfo(record),
            kwargs={"options": f"-c search_path={SCHEMA}"},
            min_size=1,
            max_size=CONNECTIONS,
            timeout=OPENED_WITHIN,
        )
        self._app: procrastinate.App = self._library.App(connector=connector)
        self._task(PERFORM, perform, priority=0)
        self._task(ASSIST, assist, priority=-1)
        for name in ("procrastinate", "psycopg.pool"):  # what they lose is found by the next look at the record
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def _task(self, name: str, work: Work, *, priority: int) -> None:
        async def job(run_id: str, fence: int) -> None:
            await work(run_id, fence)

        self._app.task(name=name, queue=NAME, priority=priority)(job)

    async def open(self) -> None:
        """Connect. Raises `SettingInvalid` where a connection pooler stands between."""
        try:
            await self._app.open_async()
        except Exception as error:  # whatever the pool says, the record has answered just before
            raise SettingInvalid(
                "The job queue cannot be reached, although the record can. Workers need a DATABASE_URL that leads to "
                "PostgreSQL itself, or to a pooler in session mode: they listen for jobs.",
                setting="DATABASE_URL",
            ) from error

    async def close(self) -> None:
        await self._app.close_async()

    async def put(self, name: str, run_id: UUID, fence: int = 0) -> bool:
        """Queue a job unless one like it waits already; False if the queue cannot be reached."""
        configured = self._app.configure_task(name, queueing_lock=f"{name} {run_id}")
        try:
            await configured.defer_async(run_id=str(run_id), fence=fence)
        except self._library.exceptions.AlreadyEnqueued:
            return True
        except self._library.exceptions.ConnectorException as error:
            log.warning(
                "a job could not be queued; the next look at the record finds it", run=str(run_id), why=str(error)
            )
            return False
        return True

    async def work(self, *, worker: str, concurrency: int, within: timedelta) -> None:
        """Do jobs until cancelled; begins anew after the database was away."""
        seconds = within.total_seconds()
        while True:
            try:
                await self._app.run_worker_async(
                    queues=[NAME],
                    name=worker,
                    concurrency=concurrency,
                    fetch_job_polling_interval=max(seconds / 6, 0.2),
                    abort_job_polling_interval=3600,
                    shutdown_graceful_timeout=0,
                    delete_jobs="always",
                    install_signal_handlers=False,
                    update_heartbeat_interval=seconds / 3,
                    stalled_worker_timeout=seconds,
                )
            except self._library.exceptions.ProcrastinateException as error:
                log.warning("the job queue went away; trying again", worker=worker, why=str(error))
            await asyncio.sleep(min(1.0, seconds / 6))

    async def tidy(self, within: timedelta) -> None:
        """Drop jobs that dead workers had; their runs are found in the record."""
        jobs = self._app.job_manager
        failed = self._library.jobs.Status.FAILED
        try:
            for job in await jobs.get_stalled_jobs(queue=NAME, seconds_since_heartbeat=within.total_seconds()):
                if job.id is not None:
                    await jobs.finish_job_by_id_async(job_id=job.id, status=failed, delete_job=True)
        except self._library.exceptions.ProcrastinateException as error:
            log.info("jobs of dead workers are dropped later", why=str(error))
