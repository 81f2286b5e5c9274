// Figures as people read them.
import { t } from "./words.js";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function size(bytes) {
  let unit = 0;
  for (; bytes >= 1024 && unit < UNITS.length - 1; unit += 1) bytes /= 1024;
  return `${unit ? bytes.toFixed(1) : Math.round(bytes)} ${UNITS[unit]}`;
}

function duration(seconds) {
  if (seconds < 60) return t("{seconds} s", { seconds: Math.max(1, Math.round(seconds)) });
  if (seconds < 3600) return t("{minutes} min", { minutes: Math.round(seconds / 60) });
  return t("{hours} h {minutes} min", { hours: Math.floor(seconds / 3600), minutes: Math.round((seconds % 3600) / 60) });
}

// How far something is, how fast, and how long it will take: what is known of it.
export function far({ done, total, rate, left_s: left }) {
  const parts = [];
  if (done !== undefined) parts.push(total ? t("{done} of {total}", { done: size(done), total: size(total) }) : size(done));
  if (rate) parts.push(`${size(rate)}/s`);
  if (left !== undefined && left !== null) parts.push(t("{duration} left", { duration: duration(left) }));
  return parts.join(", ");
}
