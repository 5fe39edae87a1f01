"""Faults with real processes: what was acknowledged, delivered, lost and doubled while something broke."""
