"""The settings: one table, where their values come from, and the page that describes them."""

from slosh.settings.table import Settings

__all__ = ["Settings"]
