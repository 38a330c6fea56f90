// Times as elements.
import { h, setText } from './dom.js';
import { duration, time } from './format.js';
import { now } from './live.js';

// Returns a time in the reader's zone, with UTC as its title.
export const at = (iso, fraction) => (iso ? h('time', { datetime: iso, title: iso }, time(iso, fraction)) : h('span', { class: 'quiet' }, '–'));

// Returns a time that is ahead: "in 12 s". Its update counts down.
export function ahead(iso) {
  const node = h('time', { datetime: iso, title: iso });
  const update = () => {
    const left = (Date.parse(iso) - now()) / 1000;
    setText(node, left > 0 ? `in ${duration(Math.ceil(left))}` : 'now');
  };
  update();
  return Object.assign(node, { update });
}
