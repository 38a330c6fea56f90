// The last 15 minutes as two lines: orders and notifications a second.
import { h, setAttribute, setText, svg } from './dom.js';
import { rate, time } from './format.js';

const minutes = 15;
const [width, height, top] = [900, 120, 6];

const series = [
  { field: 'orders', label: 'Orders a second' },
  { field: 'notified', label: 'Notifications a second' },
];

// Returns {node, update(points, now)}; now is the server's time in milliseconds.
export function chart() {
  const area = svg('path', { class: 'area' });
  const lines = series.map(({ field }) => svg('path', { class: `line ${field}` }));
  const grid = svg('path', { class: 'grid', d: `M0 ${top}H${width}M0 ${(height + top) / 2}H${width}M0 ${height}H${width}` });
  const picture = svg('svg', { viewBox: `0 0 ${width} ${height + 1}`, preserveAspectRatio: 'none', role: 'img' }, grid, area, ...lines);
  const most = h('span', { class: 'most', 'aria-hidden': 'true' });
  const values = series.map(() => h('b'));
  const legend = series.map(({ field, label }, i) => h('span', { class: `key ${field}` }, h('span', { class: 'stroke', 'aria-hidden': 'true' }), label, ' ', values[i]));
  let drawn = null;
  return {
    node: h('figure', { class: 'chart' },
      h('figcaption', null, h('h2', null, `The last ${minutes} minutes`), h('span', { class: 'keys' }, legend)),
      h('div', { class: 'plot' }, picture, most),
      h('div', { class: 'axis', 'aria-hidden': 'true' }, [15, 10, 5].map((m) => h('span', null, `${m} min ago`)), h('span', null, 'now'))),
    update(points, now) {
      if (drawn === points) return; // new points make a new array
      drawn = points;
      const highest = scale(Math.max(...points.flatMap((p) => series.map(({ field }) => p[field] ?? 0)), 0));
      setText(most, `${rate(highest)}/s`);
      const x = (p) => Math.max(0, width * (1 - (now - Date.parse(p.at)) / (minutes * 60_000)));
      const y = (value) => height - (height - top) * (value / highest);
      series.forEach(({ field }, i) => {
        setAttribute(lines[i], 'd', path(points, field, x, y));
        setText(values[i], rate(points.at(-1)?.[field]));
      });
      const first = points.find((p) => p.orders !== null);
      setAttribute(area, 'd', first ? `${path(points, 'orders', x, y)}V${height}H${x(first).toFixed(1)}Z` : '');
      setAttribute(picture, 'aria-label', describe(points));
    },
  };
}

function path(points, field, x, y) {
  let pen = 'M';
  return points.map((p) => {
    if (p[field] === null || p[field] === undefined) {
      pen = 'M';
      return '';
    }
    const step = `${pen}${x(p).toFixed(1)} ${y(p[field]).toFixed(1)}`;
    pen = 'L';
    return step;
  }).join('');
}

// The next of 1, 2, 5, 10, 20, … above the value.
function scale(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value);
}

function describe(points) {
  if (points.length === 0) return 'There are no figures of the last 15 minutes yet.';
  return series.map(({ field, label }) => {
    const known = points.filter((p) => typeof p[field] === 'number');
    if (known.length === 0) return `${label}: not known.`;
    const most = known.reduce((a, b) => (b[field] > a[field] ? b : a));
    const least = known.reduce((a, b) => (b[field] < a[field] ? b : a));
    return `${label}: ${rate(known.at(-1)[field])} now, at most ${rate(most[field])} at ${time(most.at)}, at least ${rate(least[field])} at ${time(least.at)}.`;
  }).join(' ');
}
