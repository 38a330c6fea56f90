// One order: where its event is for each recipient, and its timeline.
import { get } from './api.js';
import { command, commands, curl } from './commands.js';
import { decideButtons } from './decide.js';
import { h, setText, show } from './dom.js';
import { number, plural } from './format.js';
import { notificationStates, places, tag } from './labels.js';
import { live, watch } from './live.js';
import { address } from './router.js';
import { table } from './table.js';
import { timeline } from './timeline.js';
import { ahead, at } from './when.js';

const pace = 1000; // the order is read at most once in this time
const idlePace = 5000; // and this often while nothing else changes

export function orderView({ params: [id] }) {
  const facts = h('p', { class: 'facts' });
  const fault = h('p', { class: 'fault', role: 'alert', hidden: true });
  const summary = h('p', { class: 'verdict', hidden: true });
  const recipients = recipientTable(() => load());
  const events = timeline();
  const content = h('div', { class: 'stack', hidden: true },
    h('section', { class: 'panel' }, h('h2', null, 'Where it is now'), recipients.node),
    h('section', { class: 'panel' }, h('h2', null, 'What happened'), events.node),
    commands('As a command', () => [
      { label: 'This view', text: curl('GET', `/console/orders/${id}`) },
      { label: 'Where it is', text: command('why', id) },
    ]));
  const loading = h('p', { class: 'quiet' }, 'Loading.');
  const node = h('div', { class: 'page' },
    h('div', { class: 'page-head' }, h('h1', null, 'Order ', h('span', { class: 'id' }, id)), summary), facts, fault, loading, content);

  const mine = new AbortController();
  let shown = null; // the latest answer
  let state = null; // the live state that it was read after
  let readAt = 0;
  let reading = false;

  async function load() {
    if (reading) return;
    reading = true;
    readAt = performance.now();
    state = live.state?.at;
    try {
      shown = await get(`/console/orders/${encodeURIComponent(id)}`, mine.signal);
      update(shown);
      show(fault, false);
    } catch (problem) {
      if (mine.signal.aborted) return;
      setText(fault, problem.status === 404 ? `${problem.message[0].toUpperCase()}${problem.message.slice(1)}.` : problem.message);
      show(fault, true);
    } finally {
      reading = false;
      show(loading, false);
    }
  }

  function update(answer) {
    const { order, trace, faults = [] } = answer;
    show(content, true);
    facts.replaceChildren(...(order ? [
      `${number(order.quantity)} × ${order.product} for user `, h('a', { href: address('/orders', { q: order.user_id }) }, order.user_id), ', placed ', at(order.created_at, true),
    ] : [answer.orders_known ? `The order service did not answer${faults.length > 0 ? `: ${faults.map((f) => f.error).join('; ')}` : '.'}` : 'This program does not know the orders themselves: --orders-url is not set.']));
    const [open, dead] = [trace.recipients.filter((r) => !isDelivered(r)).length, trace.recipients.filter((r) => r.state === 'dead').length];
    summary.dataset.tone = dead > 0 ? 'bad' : open > 0 ? 'wait' : 'good';
    setText(summary, open === 0 ? 'Every channel has delivered it.' : dead > 0 ? `${plural(dead, 'notification')} given up.` : `${plural(open, 'notification')} under way.`);
    show(summary, trace.recipients.length > 0);
    recipients.update(trace.recipients, answer.letters ?? []);
    events.update(answer.timeline);
  }

  const unwatch = watch(() => {
    events.tick();
    recipients.tick();
    const since = performance.now() - readAt;
    const isDone = shown && shown.trace.recipients.length > 0 && shown.trace.recipients.every(isDelivered);
    if (live.connection !== 'live' || isDone || since < pace) return;
    if (live.state.at !== state || since > idlePace) load();
  });
  load();
  return {
    node,
    leave() {
      unwatch();
      mine.abort();
    },
  };
}

const isDelivered = (r) => ['sent', 'skipped'].includes(r.state) || r.place === 'earlier';

function recipientTable(changed) {
  let times = [];
  const grid = table({
    caption: 'Where the event is, for each recipient',
    empty: 'No channel has got the event yet.',
    key: (r) => JSON.stringify([r.channel, r.recipient, r.place, r.state, r.next_try, r.attempts, r.reason, r.letter]),
    columns: [
      { title: 'Channel', wide: true, make: (r) => h('span', { class: 'name' }, h('a', { href: `#/channels/${encodeURIComponent(r.channel)}` }, r.channel), r.recipient && h('span', { class: 'quiet' }, ` to ${r.recipient}`)) },
      { title: 'State', half: true, make: (r) => (r.state ? tag(notificationStates, r.state) : tag(places, r.place)) },
      { title: 'Attempts', numeric: true, text: (r) => number(r.attempts ?? 0) },
      { title: 'Why, and what is next', wide: true, make: (r) => next(r, times) },
      { wide: true, end: true, make: (r) => (r.letter ? h('span', { class: 'actions' }, h('a', { href: `#/dead-letters/${encodeURIComponent(r.letter.id)}` }, 'Dead letter'), ...decideButtons(r.letter, changed)) : null) },
    ],
  });
  return {
    node: grid.node,
    update(list, letters) {
      times = times.filter((node) => node.isConnected);
      grid.update(list.map((r) => ({ ...r, letter: letters.find((l) => l.id === r.dead_letter?.id) ?? r.dead_letter })));
    },
    tick: () => times.forEach((node) => node.update()),
  };
}

function next(r, times) {
  const parts = [r.state !== 'sent' && r.reason && h('span', { class: 'answer' }, r.reason)];
  if (r.next_try) {
    const when = ahead(r.next_try);
    times.push(when);
    parts.push(h('span', null, 'Next try ', when));
  } else if (r.held_by) {
    parts.push(h('span', { class: 'quiet' }, `Held until ${r.held_by.receiver ?? r.held_by.channel} works again.`));
  }
  const shown = parts.filter(Boolean);
  return shown.length > 0 ? h('span', { class: 'lines' }, shown) : null;
}
