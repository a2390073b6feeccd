"""The log: one line per event on standard error, JSON unless a person watches, and never a secret or a body."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

Event = MutableMapping[str, Any]

HIDDEN = "[hidden]"
LONGEST = 2000
"""Characters of one value: a longer one is a body that nobody meant to log."""

_SECRET_NAME = re.compile(
    r"(?i)(^|[_-])(authorization|api[_-]?key|apikey|password|passwd|pwd|secret|token|cookie|credentials?|jwt)($|[_-])"
)
_BODY_NAME = re.compile(
    r"(?i)^(body|body_html|body_text|html|text|content|description|description_text|snippet|subject|title|raw|payload"
    r"|request|response|attachment_url|link|url_signed)$"
)
_SECRET_TEXT = (
    (re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(
            r"(?i)\b((?:api[_-]?key|password|passwd|secret|token|signature|x-amz-[a-z-]+)[\"']?\s*[=:]\s*[\"']?)"
            r"[^\s&\"',;]+"
        ),
        rf"\1{HIDDEN}",
    ),
)


def set_up_logs(*, verbose: bool = False) -> None:
    """Send our own events and those of the libraries to standard error.

    `verbose`: what happens, not only what goes wrong. Libraries speak up from warnings on.
    """
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(_Stderr())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, _renderer()],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("deskloom").setLevel(logging.INFO if verbose else logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact(logger: Any, method: str, event: Event) -> Event:
    """The last line of defence: what looks like a secret or a body is not written, wherever it came from."""
    return {name: _safe(name, value) for name, value in event.items()}


def _safe(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name) or _BODY_NAME.match(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(inner): _safe(str(inner), each) for inner, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe("", each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _safe_text(str(value), longest=None if name == "exception" else LONGEST)


def _safe_text(text: str, *, longest: int | None) -> str:
    for pattern, instead in _SECRET_TEXT:
        text = pattern.sub(instead, text)
    if longest is not None and len(text) > longest:
        return f"{text[:longest]}… ({len(text)} characters)"
    return text


def _renderer() -> Processor:
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)


class _Stderr:
    """Whatever standard error is at the moment: progress bars put something else in its place while they run."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()
