// The filter of the dead letters. It stands in the address, so that a view can be kept and sent.
import { h, setText } from './dom.js';
import { live } from './live.js';
import { address } from './router.js';

const labels = { group: 'Group', channel: 'Channel', reason: 'Reason contains', type: 'Type', user_id: 'User', since: 'From', until: 'To' };
const names = Object.keys(labels);
const shownNames = names.slice(1); // a group is chosen from the list
const times = ['since', 'until'];
const states = ['waiting', 'replayed', 'discarded'];

// The part of the filter that selects letters for a decision.
export function selectionOf({ state, ...selection }) {
  return Object.fromEntries(Object.entries(selection).filter(([, value]) => value));
}

// Returns {node, values, update(query), updateChannels()}: values has the state, and what else is filtered by.
export function letterFilter() {
  const values = { state: 'waiting' };
  const input = (name, attributes) => h('input', { id: `filter-${name}`, autocomplete: 'off', ...attributes });
  const channel = h('select', { id: 'filter-channel' });
  const fields = {
    channel, reason: input('reason'), type: input('type', { placeholder: 'order.created' }), user_id: input('user_id'),
    since: input('since', { type: 'datetime-local' }), until: input('until', { type: 'datetime-local' }),
  };
  const submit = (event) => {
    event.preventDefault();
    const query = Object.fromEntries(shownNames.map((name) => [name, fields[name].value.trim()]));
    for (const name of times) if (query[name]) query[name] = new Date(query[name]).toISOString();
    location.hash = address('/dead-letters', withState(values.state, { ...query, group: values.group }));
  };
  const tabs = states.map((state) => h('a', null, state));
  const summary = h('summary');
  const clear = h('a', { class: 'button' }, 'Clear');
  const details = h('details', { class: 'filter-details' }, summary,
    h('form', { class: 'filter', role: 'search', 'aria-label': 'Dead letters', submit },
      shownNames.map((name) => h('div', { class: `field ${name}` }, h('label', { for: `filter-${name}` }, labels[name]), fields[name])),
      h('div', { class: 'filter-end' }, h('button', { class: 'primary', type: 'submit' }, 'Filter'), clear)));
  const node = h('div', { class: 'filter-bar' }, h('nav', { class: 'tabs', 'aria-label': 'State' }, tabs), details);

  function update(query) {
    values.state = states.includes(query.state) ? query.state : 'waiting';
    for (const name of names) {
      delete values[name];
      if (query[name]) values[name] = query[name];
    }
    states.forEach((state, i) => {
      tabs[i].href = address('/dead-letters', withState(state, query));
      if (state === values.state) tabs[i].setAttribute('aria-current', 'true');
      else tabs[i].removeAttribute('aria-current');
    });
    updateChannels();
    for (const name of shownNames) fields[name].value = times.includes(name) ? local(values[name]) : values[name] ?? '';
    const used = shownNames.filter((name) => values[name]);
    setText(summary, used.length === 0 ? 'Filter' : `Filter: ${used.map((name) => `${labels[name].toLowerCase()} ${times.includes(name) ? fields[name].value.replace('T', ' ') : values[name]}`).join(', ')}`);
    clear.href = address('/dead-letters', withState(values.state, { group: values.group }));
    clear.hidden = used.length === 0;
  }

  // The channels come with the live state, maybe after the view. What is chosen stays so.
  function updateChannels() {
    const all = [...new Set([...(live.state?.channels ?? []).map((c) => c.name), ...(values.channel ? [values.channel] : [])])];
    if (channel.dataset.names === JSON.stringify(all)) return;
    channel.dataset.names = JSON.stringify(all);
    const chosen = channel.value;
    channel.replaceChildren(h('option', { value: '' }, 'all'), ...all.map((name) => h('option', { value: name }, name)));
    channel.value = all.includes(chosen) ? chosen : '';
  }
  return { node, values, update, updateChannels };
}

const withState = (state, query) => ({ ...query, state: state === 'waiting' ? '' : state });

// The time as an input of the kind datetime-local takes it.
function local(iso) {
  if (!iso) return '';
  const d = new Date(iso);
  return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
