"""Makes quakes.csv: a month of earthquakes that never were, along the belts where real ones are.

python make_quakes.py > quakes.csv
"""

import math
import random

MONTH = 30 * 86_400
COUNT = 900

# Name, weight, and corners: longitude, latitude.
BELTS: list[tuple[str, float, list[tuple[float, float]]]] = [
    ("Aleutians", 1.5, [(-150, 60), (-165, 54), (-180, 52), (-190, 54)]),
    ("Kuril and Japan", 3.0, [(160, 53), (150, 45), (143, 40), (140, 34), (131, 31)]),
    ("Philippines", 2.0, [(127, 26), (122, 20), (126, 10), (126, 4)]),
    ("Sumatra and Java", 2.5, [(94, 6), (100, -2), (106, -8), (118, -10), (130, -7)]),
    ("New Guinea to Tonga", 3.0, [(140, -4), (152, -5), (162, -11), (168, -18), (182, -17), (185, -22), (179, -36)]),
    ("New Zealand", 0.8, [(179, -37), (174, -42), (167, -46)]),
    ("Chile and Peru", 2.5, [(-72, -42), (-71, -30), (-70, -20), (-76, -13), (-81, -4)]),
    ("Central America", 1.5, [(-84, 9), (-92, 14), (-100, 17), (-105, 19)]),
    ("California", 0.8, [(-115, 32), (-121, 37), (-124, 41), (-127, 45)]),
    ("Mediterranean", 1.0, [(10, 37), (16, 39), (21, 38), (27, 37), (36, 37)]),
    ("Iran and the Himalaya", 1.6, [(44, 38), (52, 30), (62, 27), (70, 36), (80, 30), (92, 27)]),
    ("Mid-Atlantic Ridge", 1.0, [(-18, 66), (-30, 55), (-34, 35), (-45, 25), (-20, 0), (-14, -20), (-14, -40)]),
]


def main() -> None:
    """Write them in their order."""
    chance = random.Random(1906)
    rows: list[tuple[float, float, float, float, float, str]] = []
    for _ in range(COUNT):
        name, _weight, corners = chance.choices(BELTS, [weight for _, weight, _ in BELTS])[0]
        start = chance.randrange(len(corners) - 1)
        along = chance.random()
        (x, y), (to_x, to_y) = corners[start], corners[start + 1]
        longitude = x + (to_x - x) * along + chance.gauss(0, 1.3)
        latitude = y + (to_y - y) * along + chance.gauss(0, 1.3)
        # Gutenberg and Richter: a magnitude more is a tenth as many.
        magnitude = min(8.4, 3.5 - math.log10(1 - chance.random()))
        depth = min(600.0, chance.expovariate(1 / 40))
        wrapped = (longitude + 180) % 360 - 180
        rows.append((chance.random() * MONTH, latitude, wrapped, depth, magnitude, name))
    print("seconds,latitude,longitude,depth_km,magnitude,place")
    for seconds, latitude, longitude, depth, magnitude, name in sorted(rows):
        print(f"{seconds:.0f},{latitude:.2f},{longitude:.2f},{depth:.0f},{magnitude:.1f},{name}")


if __name__ == "__main__":
    main()
