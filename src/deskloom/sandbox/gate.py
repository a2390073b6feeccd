"""What every request passes before it is answered: credentials, the account's limits, the shape of the request."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from deskloom.sandbox.answers import Answer, Call, Refused, denied, invalid, unexpected
from deskloom.sandbox.rows import Row

if TYPE_CHECKING:
    from deskloom.sandbox.desk import HelpDesk

ROOT = "/api/v2/"
_WRONG = {"code": "invalid_credentials", "message": "You have to be logged in to perform this action."}
_NO_PASSWORDS = {
    "code": "unsupported_authentication_type",
    "message": "Basic authentication with a username and password is not supported. Use an API key.",
}
_HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


def answer(
    desk: HelpDesk[Any], verb: str, path: str, query: str, headers: Mapping[str, str], body: bytes, base: str
) -> tuple[Answer, str, int]:
    """The answer to a request, the endpoint's name, and the credits it used. Never raises."""
    product, switches = desk.product, desk.switches
    members = dict(parse_qsl(query, keep_blank_values=True))
    found = product.routes.find(path.removeprefix(ROOT))
    name = f"{verb} /{found.template}"
    cost = product.credits(desk, found.template, members) if verb == "GET" else 1
    limits, wait = desk.limits.charge(name, cost, parts_in=switches.sublimits_count, total_of=switches.rate_total)
    if wait is not None:
        return _finish(desk, _too_many(desk, wait), limits), name, 0
    try:
        agent = _agent(desk, headers.get("authorization", ""))
        _accepts(headers)
        if not path.startswith(ROOT):
            raise unexpected("ticket") if "//" in path else Refused(404)
        route = found.pick(verb)
        if route.admin and not agent.get("_admin"):
            raise denied()
        if found.template in switches.gated:
            raise _gated(found.template)
        if switches.suspended and verb != "GET":
            raise denied("account_suspended", "Your account has been suspended.")
        sent = _body(verb, headers, body)
        call = Call(
            method=verb, path=path, query=members, base=base, ids=found.ids, language=found.language, body=sent,
            agent=agent,
        )  # fmt: skip
        result = route.handler(desk, call)
    except Refused as refused:
        result = refused.answer
    return _finish(desk, result, limits), name, cost


def _gated(template: str) -> Refused:
    feature = template.rpartition("/")[2].replace("_", " ").title()
    return denied(
        "require_feature",
        f"The {feature} feature(s) is/are not supported in your plan. Please upgrade your account to use it.",
    )


def _too_many(desk: HelpDesk[Any], wait: int) -> Answer:
    refusal = desk.product.refusal(wait)
    if not desk.switches.refusal_html:
        return refusal
    page = _HTML.format("429 Too Many Requests").encode()
    return Answer(429, page, refusal.headers, "text/html; charset=utf-8")


def _finish(desk: HelpDesk[Any], result: Answer, limits: Mapping[str, str]) -> Answer:
    if result.status in (404, 405, 406) and result.body is None and desk.switches.not_found_body:
        result.body = {"code": "not_found" if result.status == 404 else "method_not_allowed", "message": "Not found"}
    result.headers = {**desk.product.headers, **limits, **result.headers}
    return result


def _agent(desk: HelpDesk[Any], authorization: str) -> Row:
    """The agent whose key came by HTTP Basic; the password is not looked at."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        key = base64.b64decode(encoded, validate=True).decode().partition(":")[0] if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        key = ""
    agent = desk.agent_of(key) if key else None
    if agent is None:
        body = _NO_PASSWORDS if desk.product.refuses_passwords and "@" in key else _WRONG
        raise Refused(401, body, {"www-authenticate": f'Basic realm="{desk.product.realm}"'})
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
