// One dead letter: its failures, its message, and what to do about it.
import { get } from './api.js';
import { decideButtons, decideCommands } from './decide.js';
import { h, setText, show } from './dom.js';
import { plural } from './format.js';
import { channelOf, letterStates, tag } from './labels.js';
import { table } from './table.js';
import { at } from './when.js';

export function letterView({ params: [id] }) {
  const fault = h('p', { class: 'fault', role: 'alert', hidden: true });
  const content = h('div', { class: 'stack' }, h('p', { class: 'quiet' }, 'Loading.'));
  const state = tag(letterStates);
  const buttons = h('span', { class: 'actions' });
  const node = h('div', { class: 'page' },
    h('p', { class: 'back' }, h('a', { href: '#/dead-letters' }, 'All dead letters')),
    h('div', { class: 'page-head' }, h('h1', null, 'Dead letter ', h('span', { class: 'id' }, id)), state, buttons), fault, content);
  const mine = new AbortController();
  async function load() {
    try {
      const letter = await get(`/dead-letters/${encodeURIComponent(id)}`, mine.signal);
      state.setState(letter.state);
      buttons.replaceChildren(...decideButtons(letter, load));
      content.replaceChildren(...parts(letter));
      show(fault, false);
    } catch (problem) {
      if (mine.signal.aborted) return;
      setText(fault, problem.status === 404 ? 'No dead letter has this id.' : problem.message);
      show(fault, true);
      content.replaceChildren();
    }
  }
  load();
  return { node, leave: () => mine.abort() };
}

const orderOf = (id) => /^([0-9a-f-]{36})-created/.exec(id)?.[1];

function parts(letter) {
  const order = orderOf(letter.id);
  const fact = (label, value) => value && h('div', null, h('dt', null, label), h('dd', null, value));
  return [
    h('section', { class: 'panel' }, h('h2', null, 'Why'),
      h('p', { class: 'answer large' }, letter.reason),
      h('dl', { class: 'facts-list' },
        fact('Channel', h('a', { href: `#/channels/${encodeURIComponent(channelOf(letter))}` }, channelOf(letter))),
        fact('Order', order && h('a', { class: 'id', href: `#/orders/${order}` }, order)),
        fact('First failure', at(letter.since)),
        fact('Set aside', plural(letter.times_set_aside, 'time')),
        fact('Settled', letter.settled_at && h('span', null, at(letter.settled_at), letter.settled_by ? ` by ${letter.settled_by}` : ''))),
      failures(letter.failures)),
    h('section', { class: 'panel' }, h('h2', null, 'Message'), message(letter)),
    decideCommands(letter),
  ];
}

function failures(list) {
  const grid = table({
    caption: 'Failures, the latest last', empty: '', key: (f) => JSON.stringify(f),
    columns: [
      { title: 'Failed', wide: true, make: (f) => h('span', null, at(f.first_failure), f.last_failure !== f.first_failure && [' to ', at(f.last_failure)]) },
      { title: 'Attempts', numeric: true, text: (f) => f.attempts },
      { title: 'Reason', wide: true, make: (f) => h('span', { class: 'answer' }, f.reason) },
    ],
  });
  grid.update(list);
  return grid.node;
}

const mostShown = 100_000; // characters of a body

const properties = { message_id: 'Message id', content_type: 'Content type', content_encoding: 'Encoding', correlation_id: 'Correlation id', reply_to: 'Reply to', type: 'Type', app_id: 'Sender', timestamp: 'Sent' };

// The message's properties, and its body, which may hold personal data, once somebody asks for it.
function message(letter) {
  const headers = Object.entries(letter.headers ?? {});
  const whole = letter.body ?? (letter.body_base64 && `base64: ${letter.body_base64}`) ?? '';
  const text = whole.length > mostShown ? `${whole.slice(0, mostShown)}\n… and ${plural(whole.length - mostShown, 'character')} more` : whole;
  const body = h('div');
  const button = h('button', { type: 'button', 'aria-expanded': 'false', click: () => {
    const isHidden = !body.firstChild;
    body.replaceChildren(...(isHidden ? [h('pre', { class: 'body', tabindex: 0, 'aria-label': 'Body' }, h('code', null, pretty(text)))] : []));
    button.setAttribute('aria-expanded', String(isHidden));
    setText(button, isHidden ? 'Hide the body' : 'Show the body');
  } }, 'Show the body');
  return h('div', null,
    h('dl', { class: 'facts-list' }, Object.entries(properties).filter(([name]) => letter[name]).map(([name, label]) => h('div', null, h('dt', null, label), h('dd', { class: 'id' }, letter[name]))),
      headers.map(([name, value]) => h('div', null, h('dt', null, name), h('dd', { class: 'id' }, value)))),
    h('p', { class: 'quiet' }, 'The body may hold personal data.'), button, body);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
