"""How property tests run: no deadline for one example, because the machine may be busy with something else.

`make test` tries fewer examples, above all of the stories, which take many steps; CI and `make test-all` try all.
"""

import os

from hypothesis import HealthCheck, settings

QUICK = bool(os.environ.get("QUICK"))

PROPERTY = settings(deadline=None, max_examples=50 if QUICK else 200)
"""For a property of one function."""

MANY = 100 if QUICK else 600
"""How many examples are tried of texts that are cut and changed anywhere."""

STORIES = 10 if QUICK else 60
"""How many examples of a story are tried."""

STORY = settings(
    deadline=None, max_examples=STORIES, stateful_step_count=60, suppress_health_check=[HealthCheck.too_slow]
)
"""For a machine that plays out many steps."""
