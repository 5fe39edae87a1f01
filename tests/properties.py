"""How property tests run: no deadline for one example, because the machine may be busy with something else."""

from hypothesis import HealthCheck, settings

PROPERTY = settings(deadline=None, max_examples=200)
"""For a property of one function."""

STORY = settings(deadline=None, max_examples=60, stateful_step_count=60, suppress_health_check=[HealthCheck.too_slow])
"""For a machine that plays out many steps."""
