"""The peers' part of the drift benchmark: fill, suffer the damage, run the ordinary update, look what is right."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from benchmarks.drift import SOURCE, Damage, HashEmbedder, Outcome
from benchmarks.processes import scratch

from deskloom.documents import TicketFacts, ticket_document
from deskloom.model import Json, Ticket

from . import PEERS, Item, Peer, is_right, open_peer

PAGE = 1000
WRITTEN = "Something else wrote this"
TEXTS = ("page_content", "text", "_node_content")
"""Where the payloads of the peers hold a text."""


def drifting(name: str) -> Callable[[Sequence[Ticket], Damage, int, Path], Awaitable[Outcome]]:
    """A peer as the drift benchmark calls it. It keeps its store in memory-backed files rather than in the folder."""

    async def peer(tickets: Sequence[Ticket], damage: Damage, width: int, folder: Path) -> Outcome:
        return await asyncio.to_thread(drift, name, tickets, damage, width)

    return peer


def drift(name: str, tickets: Sequence[Ticket], damage: Damage, width: int) -> Outcome:
    """The damage hits the symptom's point of each ticket. Peers name nothing: what an update mends counts as found."""
    title, items = PEERS[name].title, items_of(tickets)
    outcome, embedder = Outcome(f"{title} update"), HashEmbedder(width)
    with warnings.catch_warnings(), scratch() as own:
        warnings.simplefilter("ignore")
        peer = open_peer(name, own, embedder)
        outcome.seconds["fill"] = peer.sync(items).seconds
        hurt = suffer(peer, damage, embedder)
        counts = peer.sync(items)
        outcome.seconds["repair"], outcome.embedded = counts.seconds, counts.texts
        outcome.mended = mended(peer, items, hurt, embedder)
        outcome.found = dict(outcome.mended)
        outcome.clean = sum(outcome.mended.values()) == sum(map(len, hurt.values()))
        anew = peer.sync(items, anew=True)
        after = mended(peer, items, hurt, embedder)
        right = ", ".join(f"{kind} {number:,} of {len(hurt[kind]):,}" for kind, number in after.items())
        print(f"  {title}: update {counts.seconds:.1f} s, {counts.writes} writes; all done anew: mended {right},")
        print(f"    {anew.texts:,} texts embedded, {anew.writes:,} writes, {anew.seconds:.1f} s")
        peer.close()
    return outcome


def items_of(tickets: Sequence[Ticket]) -> list[Item]:
    """The sections that Deskloom makes of the same tickets."""
    made = [ticket_document(SOURCE, ticket, TicketFacts()) for ticket in tickets]
    return [
        Item(f"{one.item_id}:{section}", text, {"subject": one.payload["subject"], "language": one.language})
        for one in made
        for section, text in one.sections.items()
    ]


def suffer(peer: Peer, damage: Damage, embedder: HashEmbedder) -> dict[str, dict[str, str | None]]:
    """Do the damage behind the engine's back; by kind: the points that were hit, and the item of each."""
    held = peer.points()
    place = {point.item: id for id, point in held.items()}
    kinds = {"removed": damage.removed, "replaced": damage.replaced, "edited": damage.edited}
    hurt: dict[str, dict[str, str | None]] = {
        kind: {place[item]: item for item in (f"{number}:symptom_vec" for number in numbers)}
        for kind, numbers in kinds.items()
    }
    hurt["foreign"] = {str(uuid4()): None for _ in range(damage.foreign)}
    peer.remove(list(hurt["removed"]))
    other = embedder._vector("foreign")
    put = {id: (other, {"text": WRITTEN}) for kind in ("replaced", "foreign") for id in hurt[kind]}
    for id, payload in peer.payloads(list(hurt["edited"])).items():
        put[id] = (held[id].vector, edited(payload))
    ids = list(put)
    for start in range(0, len(ids), PAGE):
        peer.put({id: put[id] for id in ids[start : start + PAGE]})
    return hurt


def edited(payload: Json) -> Json:
    """The payload with another text, all else as it was."""
    return payload | {name: WRITTEN for name in TEXTS if name in payload}


def mended(
    peer: Peer, items: Sequence[Item], hurt: Mapping[str, Mapping[str, str | None]], embedder: HashEmbedder
) -> dict[str, int]:
    """Of the points that were hit, those that are right again, or gone if they are foreign; by kind."""
    held, wanted = peer.points(), {item.id: item for item in items}

    def right(id: str, item: str | None) -> bool:
        if item is None:
            return id not in held
        return id in held and is_right(held[id], wanted[item], embedder._vector)

    return {kind: sum(right(id, item) for id, item in points.items()) for kind, points in hurt.items()}
