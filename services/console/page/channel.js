// One channel: its pauses, what waits for it, and a test message.
import { post } from './api.js';
import { accountOf } from './channels.js';
import { command, commands, curl } from './commands.js';
import { h, setText, show } from './dom.js';
import { milliseconds, number, plural, rate } from './format.js';
import { channelState, outcomes, pauseKinds, tag } from './labels.js';
import { live, watch } from './live.js';
import { paged } from './pages.js';
import { pauseButton, resume } from './pause.js';
import { mayAct } from './session.js';
import { changing, table } from './table.js';
import { ahead, at } from './when.js';

const pageSize = 20;

export function channelView({ params: [name] }) {
  const state = tag(pauseKinds);
  const numbers = h('p', { class: 'facts' });
  const end = h('span', { class: 'actions' });
  const pauses = pauseTable();
  const waiting = waitingList(name);
  const missing = h('p', { class: 'empty', hidden: true }, 'No notifier has or had a channel of this name.');
  const content = h('div', { class: 'stack' },
    h('section', { class: 'panel' }, h('h2', null, 'Pauses'), pauses.node),
    waiting.node, mayAct() && testForm(name), commands('As a command', () => lines(name)));
  const node = h('div', { class: 'page' }, h('p', { class: 'back' }, h('a', { href: '#/channels' }, 'All channels')),
    h('div', { class: 'page-head' }, h('h1', null, 'Channel ', name), state, end), numbers, missing, content);
  let held = -1;
  const unwatch = watch(() => {
    if (!live.state) return;
    const channel = live.state.channels.find((c) => c.name === name);
    show(missing, !channel);
    show(content, Boolean(channel));
    if (!channel) return;
    const account = accountOf(live.state, name);
    state.setState(channelState(channel));
    setText(numbers, `${channel.kind ? `${channel.kind}. ` : ''}${number(account.sent)} sent, ${rate(account.rate)} a second. ${number(account.retrying.count)} retrying, ${number(account.held.count)} held, ${number(account.dead.count)} dead.`);
    if (!end.firstChild) end.append(pauseButton(channel) ?? '');
    end.firstChild?.update?.(channel);
    pauses.update(channel.pauses);
    if (account.held.count === null || held === account.held.count) return;
    waiting.changed(held === -1);
    held = account.held.count;
  });
  return {
    node,
    leave() {
      unwatch();
      waiting.leave();
    },
  };
}

const lines = (name) => [
  { label: 'Pause: request', text: curl('POST', `/channels/${encodeURIComponent(name)}/pause`, { reason: 'maintenance' }) },
  { label: 'Pause: command', text: command('channels', 'pause', name, '--reason', 'maintenance') },
  { label: 'Resume: request', text: curl('POST', `/channels/${encodeURIComponent(name)}/resume`, {}) },
  { label: 'Resume: command', text: command('channels', 'resume', name) },
  { label: 'What is held', text: command('undelivered', `--channel=${name}`) },
  { label: 'Test message', text: command('test-send', `--channel=${name}`) },
];

function pauseTable() {
  return table({
    caption: 'What is paused', empty: 'Nothing is paused.', key: (p) => `${p.receiver ?? ''} ${p.kind} ${p.since} ${p.next_probe ?? ''}`,
    columns: [
      { title: 'Receiver', wide: true, make: (p) => (p.receiver ? h('span', { class: 'id' }, p.receiver) : h('b', null, 'the whole channel')) },
      { title: 'State', half: true, make: (p) => tag(pauseKinds, p.kind) },
      { title: 'Since', make: (p) => at(p.since) },
      { title: 'By', text: (p) => p.by ?? 'the notifier' },
      { title: 'Why, and what is next', wide: true, make: (p) => whyPaused(p) },
      ...(mayAct() ? [{ end: true, make: (p) => (p.kind === 'draining' ? null : h('button', { class: 'small', type: 'button', 'aria-label': `Resume ${p.receiver ?? p.channel}`, click: () => resume(p.channel, p.receiver) }, 'Resume')) }] : []),
    ],
  });
}

function whyPaused(p) {
  const probe = p.next_probe && ahead(p.next_probe);
  const failed = p.failed_probes ? ` ${plural(p.failed_probes, 'probe')} failed.` : '';
  return changing(h('span', { class: 'lines' }, p.reason ? h('span', { class: 'answer' }, p.reason) : '', probe ? h('span', null, 'Next probe ', probe, '.', failed) : ''), () => probe?.update());
}

// What is held or tried again, a page at a time. It is read again when somebody asks for it, so that no row moves under
// a pointer.
function waitingList(channel) {
  const choice = h('select', { id: 'waiting-state', change: () => load() }, h('option', { value: 'held' }, 'held'), h('option', { value: 'retrying' }, 'retrying'));
  const again = h('button', { class: 'small', type: 'button', click: () => load() }, 'Read again');
  const hint = h('span', { class: 'quiet', hidden: true }, 'The list has changed.');
  const list = paged(table({
    caption: 'What waits', empty: 'Nothing waits.', key: (u) => JSON.stringify([u.event_id, u.recipient, u.state, u.at]),
    columns: [
      { title: 'Order', wide: true, make: (u) => h('a', { class: 'id', href: `#/orders/${u.order_id}` }, u.order_id) },
      { title: 'To', text: (u) => u.recipient ?? '–' },
      { title: 'Since', make: (u) => at(u.at) },
      { title: 'Next try', make: (u) => (u.next_try ? at(u.next_try) : h('span', { class: 'quiet' }, '–')) },
      { title: 'Receiver', wide: true, text: (u) => u.receiver ?? '–' },
      { title: 'Why', wide: true, make: (u) => h('span', { class: 'answer' }, u.reason ?? '') },
    ],
  }), '/undelivered');
  function load() {
    show(hint, false);
    return list.show({ channel, state: choice.value, limit: pageSize });
  }
  return {
    node: h('section', { class: 'panel' }, h('div', { class: 'panel-head' }, h('h2', null, 'What waits'), h('span', { class: 'beside' }, h('label', { for: 'waiting-state' }, 'State'), choice, again, hint)), list.node),
    changed: (first) => (first ? load() : show(hint, true)),
    leave: list.leave,
  };
}

function testForm(name) {
  const to = h('input', { id: 'test-to', autocomplete: 'off', placeholder: 'the channel’s own, if it has one' });
  const result = h('p', { class: 'test-result', role: 'status' });
  const button = h('button', { type: 'submit' }, 'Send a test message');
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    result.replaceChildren('Sending.');
    try {
      const answer = await post(`/channels/${encodeURIComponent(name)}/test`, to.value.trim() ? { to: to.value.trim() } : {});
      result.replaceChildren(tag(outcomes, answer.outcome), ` in ${milliseconds(answer.duration_ms)} `, h('span', { class: 'answer' }, [answer.code, answer.answer].filter(Boolean).join(' ')));
    } catch (problem) {
      result.replaceChildren(problem.message);
    } finally {
      button.disabled = false;
    }
  };
  return h('section', { class: 'panel' }, h('h2', null, 'Test message'),
    h('p', { class: 'quiet' }, 'It is marked as a test, and counts nowhere.'),
    h('form', { class: 'inline', submit }, h('div', { class: 'field' }, h('label', { for: 'test-to' }, 'To'), to), button), result);
}
