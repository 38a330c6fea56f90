// The icons that go with a state, so that no state is told by its colour alone.
import { svg } from './dom.js';

const paths = {
  check: 'M3 8.5l3.2 3.2L13 4.8',
  again: 'M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  cross: 'M4 4l8 8M12 4l-8 8',
  dash: 'M4 8h8',
  clock: 'M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 5v3l2 1.5',
  bolt: 'M9 2L4 9h4l-1 5 5-7H8z',
  flow: 'M2.5 8h10M9 4.5L12.5 8 9 11.5',
  question: 'M5.5 6a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.6M8 12.5v.1',
  warning: 'M8 2.5L14 13H2zM8 6.5v3M8 11.3v.1',
  plus: 'M8 3v10M3 8h10',
  undo: 'M3 6h7a3 3 0 1 1 0 6.5H6M3 6l3-3M3 6l3 3',
};

export function icon(name) {
  const path = svg('path', { d: paths[name] });
  const node = svg('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, path);
  node.dataset.name = name;
  return node;
}

export function changeIcon(node, name) {
  if (node.dataset.name === name) return;
  node.dataset.name = name;
  node.firstChild.setAttribute('d', paths[name]);
}
