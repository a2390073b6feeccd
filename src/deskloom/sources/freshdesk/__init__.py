"""A Freshdesk account as a source: `tickets` and `solutions` hold the walks, `mapping` the shapes."""

from deskloom.sources.freshdesk.source import FreshdeskSource

__all__ = ["FreshdeskSource"]
