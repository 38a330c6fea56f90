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
      times = times.filter((node) => node.isConnected);
      keyed(list, withoutRepeats(all), (e) => JSON.stringify(e), (e) => ({ node: entry(e, times), update() {} }));
    },
    tick: () => times.forEach((node) => node.update()),
  };
}

const answerOf = ({ code = '', answer = '' }) => (answer.includes(code) ? answer : [code, answer].filter(Boolean).join(' '));

// Leaves out what an entry before has said already: that it is sent, why it is not, or that it is a dead letter.
function withoutRepeats(all) {
  const attempts = new Map(); // the latest of each notification, and of each channel
  const dead = new Set(all.filter((e) => e.kind === 'dead_letter').map((e) => e.channel));
  const key = (channel, recipient = '') => JSON.stringify([channel, recipient]);
  return all.flatMap((e) => {
    if (e.kind === 'attempt') {
      attempts.set(key(e.channel, e.recipient), e);
      attempts.set(key(e.channel), e);
      return [e];
    }
    const before = attempts.get(key(e.channel, e.recipient));
    if (e.kind === 'state' && e.outcome === 'sent' && before?.outcome === 'accepted') return [];
    if (e.kind === 'state' && e.outcome === 'dead' && dead.has(e.channel)) return [];
    return [before?.answer && e.text?.startsWith(before.answer) ? { ...e, text: '' } : e];
  });
}

function entry(e, times) {
  const { title, picture, tone, text = e.text } = describe(e);
  const details = [];
  if (e.code || e.answer) details.push(h('span', { class: 'answer' }, answerOf(e)));
  if (text) details.push(h('span', { class: 'answer' }, text));
  if (e.next_try) {
    const when = ahead(e.next_try);
    times.push(when);
    details.push(h('span', null, 'Next try ', when));
  }
  if (e.dead_letter_id && e.kind === 'dead_letter') details.push(h('a', { href: `#/dead-letters/${encodeURIComponent(e.dead_letter_id)}` }, 'Look at the dead letter'));
  return h('li', { 'data-tone': tone }, icon(picture),
    h('span', { class: 'moment' }, e.at ? at(e.at, true) : ''),
    h('span', { class: 'what' }, h('span', null, ...title), ...details));
}

const steps = {
  placed: { title: ['Placed'], picture: 'plus', tone: 'info', text: '' },
  stored: { title: ['Stored, with its event'], picture: 'check', tone: 'good', text: '' },
  published: { title: ['Published to every channel'], picture: 'flow', tone: 'good', text: '' },
};

// Returns the title, the icon, the tone, and the text if it is not that of the entry.
function describe(e) {
  if (steps[e.kind]) return steps[e.kind];
  const who = e.channel ? [h('b', null, e.channel, e.recipient ? h('span', { class: 'quiet' }, ` to ${e.recipient}`) : ''), ': '] : ['The event '];
  if (e.kind === 'attempt') {
    const [word, picture, tone] = outcomes[e.outcome] ?? [e.outcome, 'question', 'idle'];
    return { title: [...who, `${e.attempt ? `attempt ${e.attempt} ` : ''}${word}`, h('span', { class: 'quiet' }, ` in ${milliseconds(e.duration_ms ?? 0)}`)], picture, tone };
  }
  if (e.kind === 'dead_letter') return { title: [...who, 'became a dead letter'], picture: 'cross', tone: 'bad' };
  const states = e.kind === 'settled' ? letterStates : { ...places, ...notificationStates };
  const [word, picture, tone] = states[e.outcome] ?? [e.outcome ?? e.kind, 'question', 'idle'];
  if (e.kind === 'settled') return { title: [...who, `dead letter ${word} ${e.text ?? ''}`], picture, tone, text: '' };
  return { title: [...who, word], picture, tone, text: e.channel ? e.text : '' };
}
