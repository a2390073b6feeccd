"""File names: safe everywhere, and never two for one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskloom.exports.markdown_paths import plan_tree, safe_name
from deskloom.record.histories import Customer

names = st.none() | st.sampled_from(
    ["Acme", "acme", "ACME ", "Acme_7", "Knowledge", "No company", "con", "é", "e\u0301"]
)
customers = st.lists(
    st.builds(
        Customer,
        source=st.sampled_from(["desk", "service"]),
        id=st.integers(1, 9),
        name=names | st.text(max_size=5),
        account_number=st.none() | st.sampled_from(["7", "8"]),
    ),
    unique_by=lambda one: (one.source, one.id),
)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Acme Works", "Acme_Works"),
        ("Mill & Sons, Ltd.", "Mill_Sons_Ltd"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", "x"),
        (".hidden", "hidden"),
        ("a\x00b\nc\u202ed", "ab_cd"),
        ("CON", "CON_"),
        ("nul.txt", "nul.txt_"),
        ("Ünïcode 日本", "Ünïcode_日本"),
        ("e\u0301", "é"),
        ("[[x]]#y^z", "x_y_z"),
        ("", "x"),
        (None, "x"),
    ],
)
def test_a_name_is_made_safe(name: str | None, safe: str) -> None:
    """Without separators, leading dots, what Windows reserves, and what links of note programs cannot hold."""
    assert safe_name(name, otherwise="x") == safe


@given(st.text(max_size=400))
def test_any_name_is_a_file_name(text: str) -> None:
    """Short enough in characters and bytes, normalised, and made of nothing dangerous."""
    name = safe_name(text, otherwise="x")
    assert 0 < len(name) <= 81
    assert len(name.encode()) <= 241
    assert unicodedata.is_normalized("NFC", name)
    assert not set(name) & set('/\\:*?"<>|#^[]\x00\n')
    assert not {name[0], name[-1]} & set(". ")


@given(customers)
def test_no_two_customers_share_a_folder(found: list[Customer]) -> None:
    """Not even on a file system that takes letters of both cases, or of both normal forms, for one."""
    folders = plan_tree(found, ["desk"]).folders
    who: dict[str, set[object]] = {"knowledge": {"articles"}, "no_company": {"nobody"}}
    for one in found:
        key = unicodedata.normalize("NFKC", folders[one.source, one.id]).casefold()
        customer = one.account_number or (one.source, one.id)
        who.setdefault(key, set()).add(customer)
        assert folders[one.source, one.id].count("/") == 0
    assert all(len(customer) == 1 for customer in who.values())
    assert plan_tree(reversed(found), ["desk"]).folders == folders


def test_a_customer_of_two_help_desks_has_one_folder() -> None:
    """The same number and name in two sources is one customer; files say which help desk a ticket is of."""
    found = [
        Customer(source=source, id=number, name="Acme Works", account_number="0042")
        for source, number in (("freshdesk", 1), ("freshservice", 2))
    ]
    tree = plan_tree(found, ["freshdesk", "freshservice"])
    assert tree.ticket("freshdesk", 412, 1) == "Acme_Works/Ticket_freshdesk_412.md"
    assert tree.ticket("freshservice", 412, 2) == "Acme_Works/Ticket_freshservice_412.md"
    assert plan_tree(found[:1], ["freshdesk"]).ticket("freshdesk", 412, 1) == "Acme_Works/Ticket_412.md"
    assert tree.ticket("freshdesk", 5, None) == "No_company/Ticket_freshdesk_5.md"
