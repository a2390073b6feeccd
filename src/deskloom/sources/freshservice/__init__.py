"""A Freshservice account as a source."""

from deskloom.sources.freshservice.source import FreshserviceSource

__all__ = ["FreshserviceSource"]
