"""All tables of cases by name."""

from tests.conformance import probe_compliance, probe_malformed, probe_smuggling
from tests.conformance.case import Case

PROBE: list[Case] = [*probe_compliance.CASES, *probe_smuggling.CASES, *probe_malformed.CASES]

TABLES: dict[str, list[Case]] = {"probe": PROBE}
