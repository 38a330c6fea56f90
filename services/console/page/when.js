// Times as elements.
import { h, setText } from './dom.js';
import { duration, time } from './format.js';
import { age, now } from './live.js';

// Returns a time in the reader's zone, with UTC as its title.
export const at = (iso, fraction) => (iso ? h('time', { datetime: iso, title: iso }, time(iso, fraction)) : h('span', { class: 'quiet' }, '–'));

// Says how long a time has passed or is ahead: "3 min ago", "in 12 s". Its update says it again.
export function ago(iso) {
  const node = h('time', { datetime: iso, title: iso });
  const update = () => setText(node, Date.parse(iso) > now() ? `in ${duration((Date.parse(iso) - now()) / 1000)}` : `${duration(age(iso))} ago`);
  update();
  return Object.assign(node, { update });
}
