// What needs somebody.
import { duration, number, plural, time } from './format.js';
import { channelState } from './labels.js';
import { age } from './live.js';
import { address } from './router.js';

const tooLong = 60; // seconds that an event may wait to be published

export const isLate = (waiting) => Boolean(waiting?.oldest) && age(waiting.oldest) > tooLong;

// Reports whether the account lacks the notifications: then they are not known, and not none.
export const lacksNotifications = (account) => lacks(account, 'deliveries', 'openings');

export const lacksLetters = (account) => lacks(account, 'dead letters');

const lacks = (account, ...parts) => (account.faults ?? []).some((fault) => parts.includes(fault.part));

// How many dead letters wait.
export const deadLetters = (state) => (state?.account?.dead_letters ?? []).reduce((sum, letters) => sum + letters.waiting.count, 0);

// Returns findings, the worst first: {key, tone, text, detail, href, link}.
export function findings(state) {
  const { account, store, broker, progress, channels } = state;
  const list = [];
  const add = (tone, key, text, more = {}) => list.push({ tone, key, text, ...more });
  if (store.status === 'down') add('bad', 'store', 'The store does not answer. Orders are refused until it does.', { detail: store.detail });
  if (broker.status === 'down') add('bad', 'broker', 'The broker does not answer. Orders are taken, and their events wait.', { detail: broker.detail });
  if (progress.status === 'stalled') add('bad', 'progress', 'Nothing moves.', { detail: progress.detail });
  for (const text of differences(account)) add('bad', text, text, { detail: `${state.program} audit lists the orders by id.` });
  for (const fault of account.faults ?? []) add('wait', `fault ${fault.part}`, `The account lacks a part: ${fault.part}.`, { detail: fault.error });
  const waiting = account.orders?.waiting;
  if (isLate(waiting) && broker.status !== 'down') {
    add('wait', 'waiting', `${plural(waiting.count, 'event waits', 'events wait')} to be published, the oldest for ${duration(age(waiting.oldest))}.`);
  }
  for (const channel of channels) addChannel(channel, add);
  const letters = (account.dead_letters ?? []).map((l) => l.waiting).filter((w) => w.count > 0);
  if (letters.length > 0) {
    const count = letters.reduce((sum, w) => sum + w.count, 0);
    const oldest = letters.map((w) => w.oldest).filter(Boolean).sort()[0];
    add('bad', 'dead', `${plural(count, 'dead letter waits', 'dead letters wait')} for a decision${oldest ? `, the oldest for ${duration(age(oldest))}` : ''}.`,
      { href: '#/dead-letters', link: 'Look at the dead letters' });
  }
  return list.sort((a, b) => (a.tone === 'bad' ? 0 : 1) - (b.tone === 'bad' ? 0 : 1));
}

function addChannel(channel, add) {
  const more = { href: address(`/channels/${encodeURIComponent(channel.name)}`), link: `Look at ${channel.name}` };
  const state = channelState(channel);
  const whole = channel.pauses.find((p) => !p.receiver && p.kind !== 'draining');
  if (whole) {
    add(state === 'paused' ? 'wait' : 'bad', `channel ${channel.name}`,
      `${channel.name} is ${{ paused: `paused${whole.by ? ` by ${whole.by}` : ''}`, broken: 'out of reach', off: 'switched off' }[whole.kind]} since ${time(whole.since)}. Its notifications are held.`,
      { ...more, detail: whole.reason });
    return;
  }
  for (const [kind, tone, what] of [['broken', 'bad', 'out of reach'], ['off', 'bad', 'switched off'], ['paused', 'wait', 'paused']]) {
    const some = channel.pauses.filter((p) => p.receiver && p.kind === kind);
    if (some.length === 0) continue;
    const who = some.length === 1 ? `the receiver ${some[0].receiver} is` : `${number(some.length)} receivers are`;
    add(tone, `${channel.name} ${kind}`, `${channel.name}: ${who} ${what}.`, { ...more, detail: some[0].reason });
  }
}

// Where the account is not even.
export function differences(account) {
  const say = (n) => (n > 0 ? `${plural(n, 'event is', 'events are')} not accounted for` : `${plural(-n, 'event is', 'events are')} counted twice`);
  const list = [];
  if (account.orders?.state === 'uneven') list.push(`Orders: ${say(account.orders.difference)}.`);
  for (const r of account.recipients ?? []) {
    if (r.state === 'uneven') list.push(`${r.channel}${r.recipient ? ` to ${r.recipient}` : ''}: ${say(r.difference)}.`);
  }
  return list;
}
