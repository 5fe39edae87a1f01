"""The sites that the tests of the whole server use."""

from tests.web.conftest import files, make_site, root, site, stream, transport

__all__ = ["files", "make_site", "root", "site", "stream", "transport"]
