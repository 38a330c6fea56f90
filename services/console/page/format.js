// Turns numbers and times into text.

const integers = new Intl.NumberFormat('en');

// A whole number; null is not known.
export const number = (n) => (n === null || n === undefined ? '–' : integers.format(n));

export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

// A rate per second; null is not known.
export function rate(n) {
  if (n === null || n === undefined) return '–';
  return n >= 100 ? number(Math.round(n)) : String(Math.round(n * 10) / 10);
}

const units = [['day', 86400], ['h', 3600], ['min', 60], ['s', 1]];

// The largest unit, and the next one while the first is small: 3 h 20 min.
export function duration(seconds) {
  if (seconds < 10) return `${Math.max(0, Math.round(seconds * 10) / 10)} s`;
  const whole = Math.round(seconds);
  const i = units.findIndex(([, size]) => whole >= size);
  const [unit, size] = units[i];
  const count = Math.floor(whole / size);
  const named = (n, name) => `${n} ${name === 'day' && n !== 1 ? 'days' : name}`;
  const rest = units[i + 1] && count < 4 ? Math.floor((whole % size) / units[i + 1][1]) : 0;
  return named(count, unit) + (rest > 0 ? ` ${named(rest, units[i + 1][0])}` : '');
}

export const milliseconds = (n) => (n < 1000 ? `${n} ms` : duration(n / 1000));

const two = (n) => String(n).padStart(2, '0');
const day = (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;

// A time in the reader's zone; the date only if it is not today.
export function time(iso, fraction = false) {
  const d = new Date(iso);
  let text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  if (fraction) text += `.${String(d.getMilliseconds()).padStart(3, '0')}`;
  return day(d) === day(new Date()) ? text : `${day(d)} ${text}`;
}
