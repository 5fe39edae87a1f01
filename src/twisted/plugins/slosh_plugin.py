"""`twistd slosh`: tells twistd of the command; the work is in slosh.service.

This folder is no package (it has no __init__.py): Twisted gathers such folders into its own
`twisted.plugins`.
"""

from twisted.application.service import ServiceMaker

slosh = ServiceMaker(
    "slosh",
    "slosh.service",
    "Live topics over plain HTTP: GET waits, POST delivers.",
    "slosh",
)
