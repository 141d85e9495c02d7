// Sizes and durations as `streams/templatetags/units.py` writes them: 1 MB is 1,000,000 bytes.

import { locale } from "./words.js";

export function size(count) {
  let value = count;
  let unit = "B";
  for (const larger of ["kB", "MB", "GB", "TB"]) {
    if (value < 1000) break;
    value /= 1000;
    unit = larger;
  }
  const digits = unit === "B" || unit === "kB" || value >= 100 ? 0 : 1;
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return `${value.toLocaleString(locale, format)} ${unit}`;
}

export function duration(seconds) {
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toLocaleString(locale, { maximumFractionDigits: 1 })} h`;
}
