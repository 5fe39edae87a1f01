"""All the breaks."""

from tests.mutations import core, engines, http, javascript, lua
from tests.mutations.row import Row

ROWS: tuple[Row, ...] = (*core.ROWS, *http.ROWS, *engines.ROWS, *lua.ROWS, *javascript.ROWS)
