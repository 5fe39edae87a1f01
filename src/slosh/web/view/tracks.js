/**
 * Longitude and latitude: which two numbers of a message are a place, and the places that one thing has been at. Nothing
 * here touches the page.
 */

/** `lat`, `position.latitude`, `gps_lat`; and `geometry.coordinates[1]`, where GeoJSON (RFC 7946 §3.1.1) has longitude first. */
const LATITUDE = [/(^|[._])(?:lat|latitude)$/i, /(coordinates)\[1\]$/i];
const LONGITUDE = [/(^|[._])(?:lon|lng|long|longitude)$/i, /(coordinates)\[0\]$/i];

/** What stands before the name of an axis; undefined for a path that is none. */
function baseOf(path, names) {
  const found = names.map((name) => name.exec(path)).find(Boolean);
  return found && path.slice(0, found.index + found[1].length);
}

export class Tracks {
  all = new Map();

  /** Take a line that is new into account. Two that are a place together are drawn as a path, and no longer by themselves. */
  note(line) {
    const [latitude, longitude] = [baseOf(line.path, LATITUDE), baseOf(line.path, LONGITUDE)];
    const base = latitude ?? longitude;
    if (base === undefined) return;
    const key = JSON.stringify([line.source, line.value, base]);
    if (!this.all.has(key)) {
      const path = base.replace(/[._]$/, "") || "position";
      this.all.set(key, { source: line.source, value: line.value, path, shown: true, latitude: undefined, longitude: undefined });
    }
    const track = this.all.get(key);
    track[latitude === undefined ? "longitude" : "latitude"] = line;
    if (track.latitude && track.longitude) for (const each of [track.latitude, track.longitude]) Object.assign(each, { isDrawn: false, isPlace: true });
  }

  /** Those of which both numbers came. */
  get whole() {
    return [...this.all.values()].filter(({ latitude, longitude }) => latitude && longitude);
  }
}

/** The places of a track between two times, in their order: `{time, latitude, longitude}`, null where something is missing. */
export function placesOf({ latitude: { series: up }, longitude: { series: across } }, from, to) {
  const found = [];
  let other = up.find(from);
  for (let row = across.find(from); row < across.length && across.times[row] <= to; row++) {
    while (other < up.length && up.times[other] < across.times[row]) other++;
    const isBoth = other < up.length && up.times[other] === across.times[row];
    const [latitude, longitude] = [isBoth ? up.mean[other++] : NaN, across.mean[row]];
    // Beyond these it is no place on earth; NaN fails as well.
    const isPlace = Math.abs(latitude) <= 90 && Math.abs(longitude) <= 360;
    if (isPlace) found.push({ time: across.times[row], latitude, longitude });
    else if (found.length && found.at(-1)) found.push(null);
  }
  return found;
}
