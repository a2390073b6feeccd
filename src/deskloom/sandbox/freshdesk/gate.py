"""What every request passes before it is answered: credentials, the account's limits, the shape of the request."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from deskloom.sandbox.answers import Answer, Call, Refused, denied, invalid, unexpected
from deskloom.sandbox.freshdesk import routes
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.rows import Row

ROOT = "/api/v2/"
VERSION = {"x-freshdesk-api-version": "latest=v2; requested=v2"}
_WRONG = {"code": "invalid_credentials", "message": "You have to be logged in to perform this action."}
_HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


def answer(
    desk: Desk, verb: str, path: str, query: str, headers: Mapping[str, str], body: bytes, base: str
) -> tuple[Answer, str, int]:
    """The answer to a request, the endpoint's name, and the credits it used. Never raises."""
    members = dict(parse_qsl(query, keep_blank_values=True))
    template, ids, language, found = routes.find(verb, path.removeprefix(ROOT))
    name = f"{verb} /{template}"
    cost = routes.credits_of(desk, template, verb, members)
    limits, wait = desk.limits.charge(
        name, cost, parts_in=desk.switches.sublimits_count, total_of=desk.switches.rate_total
    )
    if wait is not None:
        return _finish(desk, too_many(desk, wait), limits), name, 0
    try:
        agent = _agent(desk, headers.get("authorization", ""))
        _accepts(headers)
        if not path.startswith(ROOT):
            raise unexpected("ticket") if "//" in path else Refused(404)
        route = routes.pick(found, verb)
        if route.admin and not agent.get("_admin"):
            raise denied()
        if desk.switches.suspended and verb != "GET":
            raise denied("account_suspended", "Your account has been suspended.")
        sent = _body(verb, headers, body)
        call = Call(
            method=verb, path=path, query=members, base=base, ids=ids, language=language, body=sent, agent=agent
        )
        result = route.handler(desk, call)
    except Refused as refused:
        result = refused.answer
    return _finish(desk, result, limits), name, cost


def too_many(desk: Desk, wait: int | None) -> Answer:
    headers = {"retry-after": str(wait)} if wait is not None else {}
    if desk.switches.refusal_html:
        return page(429, "Too Many Requests", headers)
    return Answer(429, {"message": "You have exceeded the limit of requests per minute"}, headers)


def page(status: int, title: str, headers: dict[str, str] | None = None) -> Answer:
    """An HTML page such as a gateway sends."""
    return Answer(status, _HTML.format(f"{status} {title}").encode(), headers or {}, "text/html; charset=utf-8")


def _finish(desk: Desk, result: Answer, limits: Mapping[str, str]) -> Answer:
    if result.status in (404, 405, 406) and result.body is None and desk.switches.not_found_body:
        result.body = {"code": "not_found" if result.status == 404 else "method_not_allowed", "message": "Not found"}
    result.headers = {**VERSION, **limits, **result.headers}
    return result


def _agent(desk: Desk, authorization: str) -> Row:
    """The agent whose key came by HTTP Basic; the password is not looked at."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        key = base64.b64decode(encoded, validate=True).decode().partition(":")[0] if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        key = ""
    agent = desk.agent_of(key) if key else None
    if agent is None:
        raise Refused(401, _WRONG, {"www-authenticate": 'Basic realm="Freshdesk"'})
    return agent


def _accepts(headers: Mapping[str, str]) -> None:
    accepted = headers.get("accept", "*/*")
    if not any(kind in accepted for kind in ("application/json", "*/*", "application/*")):
        raise Refused(406)


def _body(verb: str, headers: Mapping[str, str], body: bytes) -> Any:
    if not body or verb in ("GET", "DELETE"):
        return None
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused(415)
    try:
        return json.loads(body)
    except ValueError:
        raise invalid("body", "Request body has invalid json format", "invalid_json") from None
