"""The control API below /_sandbox: state, faults, hooks, clock, edits, switches, plan, calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from deskloom.sandbox import edits, state
from deskloom.sandbox.answers import Answer
from deskloom.sandbox.clock import parse_input
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.rows import Row

if TYPE_CHECKING:
    from deskloom.sandbox.desk import HelpDesk


def control(desk: HelpDesk[Any], verb: str, path: str, query: str, body: bytes) -> Answer:
    """Answer a control request; what it cannot do is said in `error`."""
    try:
        given = json.loads(body) if body else {}
        members = dict(parse_qsl(query))
        if path.startswith("state/"):
            return _state(desk, path.removeprefix("state/"), members)
        handlers = {**_HANDLERS, **desk.product.controls}
        handler = handlers.get((verb, path))
        if handler is None:
            known = ", ".join(f"{method} /_sandbox/{name}" for method, name in handlers)
            return Answer(
                404, {"error": f"There is no {verb} /_sandbox/{path}. There are: {known}, GET /_sandbox/state/KIND"}
            )
        return Answer(body=handler(desk, {**members, **given}))
    except (ValueError, KeyError, TypeError) as error:
        return Answer(400, {"error": str(error)})


def _state(desk: HelpDesk[Any], kind: str, members: Row) -> Answer:
    kinds = desk.product.tables(desk)
    if kind not in kinds:
        return Answer(404, {"error": f"There is no kind {kind!r}; there are {', '.join(kinds)}"})
    rows, after = state.page(desk, kind, int(members.get("after", 0)), int(members.get("limit", 1000)))
    return Answer(body={"rows": rows, "next": after})


def _summary(desk: HelpDesk[Any], _: Row) -> Row:
    return {
        "product": desk.product.name,
        "name": desk.name,
        "languages": desk.languages,
        "plan": desk.limits.name,
        "counts": state.counts(desk),
        **_clock_row(desk, {}),
    }


def _clock_row(desk: HelpDesk[Any], _: Row) -> Row:
    return {"now": desk.clock.stamp(), "frozen": desk.clock.frozen}


def _set_clock(desk: HelpDesk[Any], given: Row) -> Row:
    """`advance` seconds; `freeze` or `run`: true, or a time to freeze at or run from."""
    for name, act in (("freeze", desk.clock.freeze), ("run", desk.clock.run)):
        if given.get(name):
            at = parse_input(given[name]) if isinstance(given[name], str) else None
            if isinstance(given[name], str) and at is None:
                raise ValueError(f"{given[name]!r} is not a time; write 2026-01-31T09:00:00Z")
            act(at)
    if "advance" in given:
        desk.clock.advance(float(given["advance"]))
    desk.settle()
    return _clock_row(desk, {})


def _faults(desk: HelpDesk[Any], _: Row) -> Row:
    return {"faults": [fault.as_row() for fault in desk.faults.rules], "hooks": len(desk.faults.hooks)}


def _add_fault(desk: HelpDesk[Any], given: Row) -> Row:
    for row in given.get("faults", [given]):
        desk.faults.add(Fault(**row))
    return _faults(desk, {})


def _clear_faults(desk: HelpDesk[Any], _: Row) -> Row:
    desk.faults.clear()
    return _faults(desk, {})


def _add_hook(desk: HelpDesk[Any], given: Row) -> Row:
    """`do` (a list of steps) happens just before the `nth` request that matches."""
    steps = list(given["do"])

    def act() -> None:
        for step in steps:
            edits.perform(desk, step)

    desk.faults.before(given["match"], act, nth=int(given.get("nth", 1)))
    return _faults(desk, {})


def _edit(desk: HelpDesk[Any], given: Row) -> Row:
    """The steps of `do`, or `count` random edits by `seed`."""
    if "do" in given:
        return {"done": [edits.perform(desk, step) for step in given["do"]]}
    editor = desk.product.editor(desk, int(given.get("seed", 0)))
    return {"done": [editor.edit() for _ in range(int(given.get("count", 1)))]}


def _calls(desk: HelpDesk[Any], given: Row) -> Row:
    return desk.calls.as_row(log=str(given.get("log", "")).lower() in ("1", "true"))


def _reset_calls(desk: HelpDesk[Any], _: Row) -> Row:
    before = desk.calls.as_row()
    desk.calls.reset()
    return before


def _switches(desk: HelpDesk[Any], _: Row) -> Row:
    return asdict(desk.switches)


def _set_switches(desk: HelpDesk[Any], given: Row) -> Row:
    hints = get_type_hints(type(desk.switches))
    for name, value in given.items():
        if name not in hints:
            known = ", ".join(member.name for member in fields(desk.switches))
            raise ValueError(f"There is no switch {name!r}; there are {known}")
        if not _fits(value, hints[name]):
            raise ValueError(f"Switch {name!r} cannot be {value!r}")
    changed = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    desk.switches = replace(desk.switches, **changed)
    return asdict(desk.switches)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of a switch's type: one of its literals, a list of texts, or a plain value."""
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    choices = get_args(hint)
    kinds = tuple(choice for choice in choices if isinstance(choice, type)) or (hint,)
    return value in choices if choices and not isinstance(choices[0], type) else type(value) in kinds


def _set_plan(desk: HelpDesk[Any], given: Row) -> Row:
    desk.limits = desk.limits.on(given["plan"])
    return {"plan": desk.limits.name}


def _sla(desk: HelpDesk[Any], _: Row) -> Row:
    return {"escalated": desk.run_sla()}


_HANDLERS: dict[tuple[str, str], Callable[[HelpDesk[Any], Row], Any]] = {
    ("GET", ""): _summary,
    ("GET", "state"): _summary,
    ("GET", "clock"): _clock_row,
    ("POST", "clock"): _set_clock,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "hooks"): _add_hook,
    ("POST", "edit"): _edit,
    ("GET", "calls"): _calls,
    ("POST", "calls"): _reset_calls,
    ("GET", "switches"): _switches,
    ("POST", "switches"): _set_switches,
    ("POST", "plan"): _set_plan,
    ("POST", "sla"): _sla,
}
