// All channels.
import { lacksNotifications } from './attention.js';
import { backlog } from './backlog.js';
import { h, show } from './dom.js';
import { number, rate } from './format.js';
import { channelState, pauseKinds, tag } from './labels.js';
import { live, watch } from './live.js';
import { pauseButton } from './pause.js';
import { changing, table } from './table.js';

const unknown = { count: null };

// The account of a channel: the sum over its recipients.
export function accountOf(state, name) {
  if (lacksNotifications(state.account)) return { sent: null, retrying: unknown, held: unknown, dead: unknown, rate: null, recipients: [] };
  const recipients = (state.account.recipients ?? []).filter((r) => r.channel === name);
  const sum = (field) => {
    const some = recipients.map((r) => r[field]);
    return { count: some.reduce((total, b) => total + b.count, 0), oldest: some.map((b) => b.oldest).filter(Boolean).sort()[0] };
  };
  return {
    sent: recipients.reduce((total, r) => total + r.sent, 0), retrying: sum('retrying'), held: sum('held'), dead: sum('dead'),
    rate: (state.rates.channels ?? []).find((c) => c.channel === name)?.sent ?? null,
  };
}

export function channelsView() {
  const grid = table({
    caption: 'Channels',
    empty: 'No channel is configured.',
    key: (c) => c.name,
    columns: [
      { title: 'Channel', wide: true, make: (c) => h('span', { class: 'name' }, h('a', { href: `#/channels/${encodeURIComponent(c.name)}` }, c.name), c.kind && c.kind !== c.name && h('span', { class: 'quiet' }, ` ${c.kind}`)) },
      { title: 'State', half: true, make: () => {
        const state = tag(pauseKinds);
        return changing(h('span', null, state), (c) => state.setState(channelState(c)));
      } },
      { title: 'Sent a second', numeric: true, text: (c) => rate(c.account.rate) },
      { title: 'Sent', numeric: true, text: (c) => number(c.account.sent) },
      { title: 'Retrying', numeric: true, make: () => backlog((c) => c.account.retrying) },
      { title: 'Held', numeric: true, make: () => backlog((c) => c.account.held) },
      { title: 'Dead', numeric: true, make: () => backlog((c) => c.account.dead) },
      { wide: true, end: true, make: (c) => pauseButton(c) },
    ],
  });
  const loading = h('p', { class: 'quiet' }, 'Loading.');
  const panel = h('section', { class: 'panel', hidden: true }, grid.node);
  const node = h('div', { class: 'page' }, h('div', { class: 'page-head' }, h('h1', null, 'Channels')), loading, panel);
  const leave = watch(() => {
    if (!live.state) return;
    show(loading, false);
    show(panel, true);
    grid.update(live.state.channels.map((c) => ({ ...c, account: accountOf(live.state, c.name) })));
  });
  return { node, leave };
}
