// What was done: who replayed, discarded, paused or forgot what, when and why.
import { h } from './dom.js';
import { number } from './format.js';
import { actionOutcomes, tag } from './labels.js';
import { paged } from './pages.js';
import { address } from './router.js';
import { table } from './table.js';
import { at } from './when.js';

const kinds = {
  replay: 'replayed', discard: 'discarded', restore: 'restored', pause: 'paused', resume: 'resumed', forget: 'forgot a user',
  put_contact: 'stored a contact', delete_contact: 'deleted a contact', import: 'imported contacts', forget_channel: 'forgot a channel', test: 'sent a test',
};

export function actionsView(target) {
  const action = h('select', { id: 'action', name: 'action' }, h('option', { value: '' }, 'all'), Object.entries(kinds).map(([value, word]) => h('option', { value }, word)));
  const by = h('input', { id: 'by', name: 'by', autocomplete: 'off' });
  const submit = (event) => {
    event.preventDefault();
    location.hash = address('/actions', { action: action.value, by: by.value.trim() });
  };
  const list = paged(table({
    caption: 'What was done, the latest first',
    empty: 'Nothing was done yet.',
    key: (a) => `${a.id} ${a.outcome}`,
    columns: [
      { title: 'When', make: (a) => at(a.at) },
      { title: 'Who', text: (a) => a.by || '–' },
      { title: 'Did', text: (a) => kinds[a.action] ?? a.action },
      { title: 'What', wide: true, make: (a) => h('span', { class: 'reason' }, a.target || '–') },
      { title: 'How many', numeric: true, text: (a) => (a.outcome === 'unknown' ? '–' : number(a.count ?? 0)) },
      { title: 'Why', wide: true, make: (a) => h('span', { class: 'reason' }, a.reason || '–') },
      { title: 'Outcome', wide: true, make: (a) => h('span', { class: 'lines' }, tag(actionOutcomes, a.outcome), a.error && h('span', { class: 'answer' }, a.error)) },
    ],
  }), '/actions');
  const node = h('div', { class: 'page' }, h('div', { class: 'page-head' }, h('h1', null, 'Actions'), h('button', { class: 'small', type: 'button', click: () => list.again() }, 'Read again')),
    h('form', { class: 'filter', role: 'search', 'aria-label': 'Actions', submit },
      h('div', { class: 'field' }, h('label', { for: 'action' }, 'Did'), action), h('div', { class: 'field' }, h('label', { for: 'by' }, 'Who'), by),
      h('div', { class: 'filter-end' }, h('button', { class: 'primary', type: 'submit' }, 'Filter'))),
    h('section', { class: 'panel' }, list.node));
  function change({ query }) {
    action.value = query.action ?? '';
    by.value = query.by ?? '';
    list.show({ action: query.action, by: query.by, limit: 50 });
  }
  change(target);
  return { node, change, leave: list.leave };
}
