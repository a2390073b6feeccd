"""What an invoice should not be issued over without a person's word: counted exactly all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from deskloom.billing.amounts import shown_hours
from deskloom.billing.work import Rules, Work

DAY = 24 * 3600
AgentDay = tuple[str, int, date]
"""Source and number of an agent, and a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that is probably wrong, in a sentence, and the entry and ticket it is about, if it is about one."""

    code: str
    detail: str
    source: str | None = None
    ticket_id: int | None = None
    entry_id: int | None = None


def warn(
    work: Sequence[Work],
    *,
    agent_seconds: Mapping[AgentDay, int],
    unread: Sequence[tuple[str, int]],
    without_terms: int,
    rules: Rules,
    issued_by: Rules | None,
) -> list[Warned]:
    """Warnings about the work of a month.

    `agent_seconds`: what each agent logged on a day, for whichever company; `unread`: closed tickets of the month whose
    time entries were never read; `without_terms`: seconds of days for which nothing was agreed; `issued_by`: the rules
    of the account's last invoice.
    """
    found = [*_rules(rules, issued_by), *_unread(unread)]
    if without_terms:
        said = f"{shown_hours(without_terms)} h were worked on days for which no terms hold, and are not billed."
        found.append(Warned(code="without_terms", detail=said))
    for each in work:
        if each.seconds < 0:
            said = f"lasts {shown_hours(each.seconds)} h: a negative time is not billed"
            found.append(_of(each, "negative_entry", said))
        elif each.seconds > DAY:
            found.append(_of(each, "long_entry", f"lasts {shown_hours(each.seconds)} h, more than a day"))
        if each.agent_id is None or each.worked_on is None:
            continue
        total = agent_seconds.get((each.source, each.agent_id, each.worked_on), 0)
        if total > DAY >= each.seconds:
            said = f"is of {each.worked_on}, on which agent {each.agent_id} logged {shown_hours(total)} h altogether"
            found.append(_of(each, "long_day", said))
    return found


def _of(work: Work, code: str, said: str) -> Warned:
    return Warned(
        code=code,
        detail=f"Time entry {work.entry_id} of {work.source} ticket {work.ticket_id} {said}.",
        source=work.source,
        ticket_id=work.ticket_id,
        entry_id=work.entry_id,
    )


def _unread(unread: Sequence[tuple[str, int]]) -> Iterable[Warned]:
    for source in sorted({source for source, _ in unread}):
        numbers = sorted(number for name, number in unread if name == source)
        which = ", ".join(str(number) for number in numbers[:5]) + (", …" if len(numbers) > 5 else "")
        yield Warned(
            code="hours_unread",
            detail=f"The time entries of {len(numbers)} closed {source} tickets ({which}) were never read; nothing is "
            "counted for them.",
            source=source,
            ticket_id=numbers[0] if len(numbers) == 1 else None,
        )


def _rules(rules: Rules, before: Rules | None) -> Iterable[Warned]:
    if before is None:
        return
    for name, old, new in (
        ("DESKLOOM_BILLING_BY", before.by, rules.by),
        ("DESKLOOM_BILLING_TIMEZONE", before.timezone, rules.timezone),
    ):
        if old != new:
            yield Warned(
                code="rules_changed",
                detail=f"{name} was {old} when the last invoice was issued and is {new} now: hours that count in "
                "another month by that are corrected.",
            )
