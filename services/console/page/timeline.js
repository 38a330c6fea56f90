// What happened to an order, oldest first.
import { h, keyed } from './dom.js';
import { milliseconds } from './format.js';
import { icon } from './icons.js';
import { letterStates, notificationStates, outcomes, places } from './labels.js';
import { ahead, at } from './when.js';

export function timeline() {
  const list = h('ol', { class: 'timeline' });
  let times = [];
  return {
    node: list,
    update(all) {
      const entries = all.filter((e, i) => !repeats(e, all[i - 1]));
      times = times.filter((node) => node.isConnected);
      keyed(list, entries, (e) => JSON.stringify(e), (e) => ({ node: entry(e, times), update() {} }));
    },
    tick: () => times.forEach((node) => node.update()),
  };
}

// Reports whether the entry says what the attempt before it has said.
const repeats = (e, before) => e.kind === 'state' && e.outcome === 'sent' && before?.outcome === 'accepted'
  && e.channel === before.channel && e.recipient === before.recipient;

const steps = {
  placed: ['Placed', 'plus', 'info'],
  stored: ['Stored, with its event', 'check', 'good'],
  published: ['Published to every channel', 'flow', 'good'],
};

function entry(e, times) {
  const [title, picture, tone] = describe(e);
  const details = [];
  if (e.code || e.answer) details.push(h('span', { class: 'answer' }, [e.code, e.answer].filter(Boolean).join(' ')));
  if (e.text && e.text !== e.answer) details.push(h('span', { class: 'answer' }, e.text));
  if (e.next_try) {
    const when = ahead(e.next_try);
    times.push(when);
    details.push(h('span', null, 'Next try ', when));
  }
  if (e.dead_letter_id) details.push(h('a', { href: `#/dead-letters/${encodeURIComponent(e.dead_letter_id)}` }, 'Look at the dead letter'));
  return h('li', { 'data-tone': tone }, icon(picture),
    h('span', { class: 'moment' }, e.at ? at(e.at, true) : ''),
    h('span', { class: 'what' }, h('span', { class: 'title' }, ...title), ...details));
}

function describe(e) {
  if (steps[e.kind]) return [[steps[e.kind][0]], ...steps[e.kind].slice(1)];
  const who = h('b', null, e.channel || 'log', e.recipient ? h('span', { class: 'quiet' }, ` to ${e.recipient}`) : '');
  if (e.kind === 'attempt') {
    const [word, picture, tone] = outcomes[e.outcome] ?? [e.outcome, 'question', 'idle'];
    return [[who, `: ${e.attempt ? `attempt ${e.attempt} ` : ''}${word}`, h('span', { class: 'quiet' }, ` in ${milliseconds(e.duration_ms ?? 0)}`)], picture, tone];
  }
  const kinds = { state: { ...places, ...notificationStates }, dead_letter: letterStates, settled: letterStates };
  const [word, picture, tone] = kinds[e.kind]?.[e.outcome] ?? [e.outcome ?? e.kind, 'question', 'idle'];
  if (e.kind === 'dead_letter') return [[who, ': became a dead letter'], 'cross', 'bad'];
  if (e.kind === 'settled') return [[who, `: dead letter ${word}`], picture, tone];
  return [[who, `: ${word}`], picture, tone];
}
