"""All the breaks."""

from tests.mutations import access, checking, client, core, ends, engines, history, http, javascript, lua
from tests.mutations.row import Row

ROWS: tuple[Row, ...] = (
    *core.ROWS,
    *access.ROWS,
    *checking.ROWS,
    *http.ROWS,
    *engines.ROWS,
    *lua.ROWS,
    *javascript.ROWS,
    *ends.ROWS,
    *client.ROWS,
    *history.ROWS,
)
