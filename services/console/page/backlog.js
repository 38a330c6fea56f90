// How much waits, and for how long.
import { h, setAttribute, setText } from './dom.js';
import { duration, number } from './format.js';
import { age } from './live.js';

// Returns a node for a table, of the backlog that pick finds in an item.
export function backlog(pick) {
  const count = h('span');
  const since = h('span', { class: 'quiet age' });
  const update = (item) => {
    const { count: n = 0, oldest } = pick(item) ?? {};
    setText(count, number(n));
    setAttribute(count, 'class', n > 0 ? 'some' : 'quiet');
    setText(since, n > 0 && oldest ? duration(age(oldest)) : '');
  };
  return Object.assign(h('span', { class: 'backlog' }, count, since), { update });
}
