"""slosh beside its peers, on the same work, in the same minutes: `python -m benchmarks`.

Rules that the whole package keeps:

1. Figures are CPU of the server for a unit of work, read from /proc, so that a noisy machine matters little; servers
   take turns (A B A B) and what is compared is the ratio within a round.
2. A run that lost, doubled, swapped or damaged a message gives no figure.
3. Every server gets the configuration that its own documentation would recommend for this load, and it is written down.
"""
