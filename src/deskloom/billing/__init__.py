"""What a company owes for a month: pure arithmetic over terms and time entries, in whole seconds and exact decimals.

`terms` says what was agreed, `work` what was done and how it divides into prepaid and billable time, `corrections`
what changed since an invoice was issued, `statement` puts a month together. No I/O, no SQL, no clock, no float.
"""

from deskloom.billing.corrections import Ledger
from deskloom.billing.statement import Line, Statement, TicketHours, state
from deskloom.billing.terms import Terms
from deskloom.billing.work import Rules, Share, Work, allocate

__all__ = ["Ledger", "Line", "Rules", "Share", "Statement", "Terms", "TicketHours", "Work", "allocate", "state"]
