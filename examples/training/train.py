"""Fits a line to points, as a network is trained: step by step, with noise.

python train.py [name of the run] [learning rate] [steps] [seconds that a step takes]
"""

import random
import sys
import time

import slosh

GIVEN = dict(zip(("name", "rate", "steps", "pause"), sys.argv[1:], strict=False))
BATCH = 16


def gradient(slope: float, shift: float, chance: random.Random) -> tuple[float, float, float, float]:
    """Loss, its two derivatives, and how many of a batch of points are met."""
    loss = by_slope = by_shift = met = 0.0
    for _ in range(BATCH):
        x = chance.uniform(-1, 1)
        error = slope * x + shift - (3 * x + 1 + chance.gauss(0, 0.2))
        loss += error**2 / BATCH
        by_slope += 2 * error * x / BATCH
        by_shift += 2 * error / BATCH
        met += (abs(error) < 0.4) / BATCH
    return loss, by_slope, by_shift, met


def main() -> None:
    """Train, and log each step."""
    name, rate = GIVEN.get("name", "first"), float(GIVEN.get("rate", "0.1"))
    chance = random.Random(name)
    slope = shift = 0.0
    with slosh.run(name, config={"rate": rate}) as run:
        for _ in range(int(GIVEN.get("steps", "400"))):
            began = time.perf_counter()
            loss, by_slope, by_shift, met = gradient(slope, shift, chance)
            slope -= rate * by_slope
            shift -= rate * by_shift
            time.sleep(float(GIVEN.get("pause", "0.05")))
            took = 1000 * (time.perf_counter() - began)
            run.log(loss=loss, accuracy=met, gradient=(by_slope**2 + by_shift**2) ** 0.5, step_ms=round(took, 2))
    print(f"{name}: y = {slope:.2f} x + {shift:.2f}")


if __name__ == "__main__":
    main()
