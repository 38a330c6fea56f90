// The overview: what needs somebody, the key figures, the last 15 minutes, the channels, the parts.
import { deadLetters, differences, findings, isLate, lacksLetters, lacksNotifications } from './attention.js';
import { chart } from './chart.js';
import { h, keyed, setAttribute, setText, show } from './dom.js';
import { duration, number, plural, rate } from './format.js';
import { changeIcon, icon } from './icons.js';
import { accountStates, channelState, partStates, pauseKinds, tag } from './labels.js';
import { age, live, now, watch } from './live.js';
import { placeForm } from './place.js';
import { backlog } from './backlog.js';
import { changing, table } from './table.js';

export function overviewView() {
  const verdict = headline();
  const figures = keyFigures();
  const history = chart();
  const channels = channelTable();
  const parts = partList();
  const place = h('div');
  const loading = h('p', { class: 'quiet' }, 'Loading.');
  const content = h('div', { class: 'overview stack', hidden: true },
    verdict.list, figures.node,
    h('div', { class: 'columns' },
      h('div', { class: 'main-column' }, h('section', { class: 'panel' }, history.node),
        h('section', { class: 'panel' }, h('h2', null, 'Channels'), channels.node)),
      h('div', { class: 'side-column' }, place, parts.node)));
  const columns = content.querySelector('.columns');
  const node = h('div', { class: 'page' }, h('div', { class: 'page-head' }, h('h1', null, 'Overview'), verdict.node), loading, content);
  const leave = watch(() => {
    const { state, points } = live;
    if (!state) return;
    show(loading, false);
    show(content, true);
    verdict.update(state);
    figures.update(state);
    history.update(points, now());
    channels.update(state);
    parts.update(state);
    setAttribute(columns, 'data-fresh', state.account.orders?.orders === 0); // then the form comes first
    if (state.can_order && !place.firstChild) place.append(placeForm());
  });
  return { node, leave };
}

// --- what needs somebody ---

function headline() {
  const picture = icon('check');
  const text = h('span');
  const node = h('p', { class: 'verdict' }, picture, text);
  const list = h('ul', { class: 'attention', hidden: true });
  const create = (finding) => {
    const sentence = h('span', { class: 'sentence' });
    const detail = h('span', { class: 'detail' });
    const link = finding.href && h('a', { href: finding.href }, finding.link);
    return {
      node: h('li', { 'data-tone': finding.tone }, icon(finding.tone === 'bad' ? 'warning' : 'pause'), h('span', null, sentence, detail), link),
      update(next) {
        setText(sentence, next.text);
        setText(detail, next.detail ?? '');
      },
    };
  };
  return {
    node,
    list,
    update(state) {
      const all = findings(state);
      const tone = all[0]?.tone ?? 'good';
      setAttribute(node, 'data-tone', tone);
      changeIcon(picture, tone === 'good' ? 'check' : 'warning');
      setText(text, all.length > 0 ? `${plural(all.length, 'thing needs', 'things need')} attention.` : allIsWell(state));
      show(list, all.length > 0);
      keyed(list, all, (f) => f.key, create);
    },
  };
}

function allIsWell({ account, can_order: canOrder }) {
  if (account.orders?.orders === 0) return canOrder ? 'No order yet. Place one, and see it go through.' : 'No order yet.';
  return account.state === 'unknown' ? 'Nothing needs attention.' : 'All is well. Every order is accounted for.';
}

// --- the key figures ---

function keyFigures() {
  const tiles = {};
  const tile = (key, label) => {
    const value = h('dd', { class: 'value' });
    const note = h('dd', { class: 'note' });
    tiles[key] = (text, more, tone = '') => {
      setText(value, text);
      setText(note, more);
      setAttribute(value, 'data-tone', tone);
    };
    return h('div', null, h('dt', null, label), value, note);
  };
  const node = h('dl', { class: 'figures panel' }, tile('orders', 'Orders a second'), tile('notified', 'Notifications a second'),
    tile('waiting', 'Waiting to be published'), tile('undelivered', 'Not delivered yet'), tile('dead', 'Dead letters'));
  return { node, update: (state) => fillTiles(tiles, state) };
}

function fillTiles(tiles, { account, rates, orders_known: known }) {
  const recipients = account.recipients ?? [];
  const sum = (pick) => recipients.reduce((total, r) => total + pick(r), 0);
  const oldest = (backlogs) => backlogs.map((b) => b.oldest).filter(Boolean).sort()[0];
  const since = (iso) => (iso ? `the oldest for ${duration(age(iso))}` : '');
  const orders = account.orders;
  tiles.orders(rate(rates.orders), orders ? `${number(orders.orders)} in all` : known === false ? '--orders-url is not set' : 'not known');
  const unknown = lacksNotifications(account);
  tiles.notified(rate(rates.notified), unknown ? 'not known' : `${number(sum((r) => r.sent))} in all`);
  tiles.waiting(orders ? number(orders.waiting.count) : '–', !orders ? 'not known' : orders.waiting.count === 0 ? 'Nothing waits.' : since(orders.waiting.oldest), isLate(orders?.waiting) ? 'wait' : '');
  const [retrying, held] = [sum((r) => r.retrying.count), sum((r) => r.held.count)];
  if (unknown) tiles.undelivered('–', 'not known');
  else tiles.undelivered(number(retrying + held), retrying + held === 0 ? 'Nothing waits.' : `${number(retrying)} retrying, ${number(held)} held`, retrying + held > 0 ? 'wait' : '');
  const dead = deadLetters({ account });
  if (lacksLetters(account)) tiles.dead('–', 'not known');
  else tiles.dead(number(dead), dead === 0 ? 'None waits.' : since(oldest((account.dead_letters ?? []).map((l) => l.waiting))), dead > 0 ? 'bad' : '');
}

// --- the channels ---

function channelTable() {
  const list = table({
    caption: 'What became of the events, for each channel and recipient',
    empty: 'There are no channels yet.',
    key: (r) => `${r.channel} ${r.recipient ?? ''}`,
    columns: [
      { title: 'Channel', wide: true, make: (r) => h('span', { class: 'name' }, h('a', { href: `#/channels/${encodeURIComponent(r.channel)}` }, r.channel), r.recipient && h('span', { class: 'quiet' }, ` to ${r.recipient}`)) },
      { title: 'State', half: true, make: (r) => {
        const state = tag(pauseKinds, r.state_of_channel);
        return changing(h('span', null, state), (next) => state.setState(next.state_of_channel));
      } },
      { title: 'Sent', numeric: true, text: (r) => number(r.sent) },
      { title: 'Skipped', numeric: true, text: (r) => number(r.skipped) },
      { title: 'In queue', numeric: true, text: (r) => number(r.in_queue) },
      { title: 'Retrying', numeric: true, make: () => backlog((r) => r.retrying) },
      { title: 'Held', numeric: true, make: () => backlog((r) => r.held) },
      { title: 'Dead', numeric: true, make: () => backlog((r) => r.dead) },
      { title: 'Account', make: (r) => {
        const state = tag(accountStates, r.state);
        return changing(h('span', null, state), (next) => state.setState(next.state));
      } },
    ],
  });
  return {
    node: list.node,
    update({ account, channels }) {
      const states = new Map(channels.map((c) => [c.name, channelState(c)]));
      const unknown = { count: null };
      const recipients = lacksNotifications(account)
        ? channels.map(({ name, configured }) => ({ channel: name, configured, sent: null, skipped: null, in_queue: null, retrying: unknown, held: unknown, dead: unknown, state: 'unknown' }))
        : account.recipients ?? [];
      list.update(recipients.map((r) => ({ ...r, state_of_channel: states.get(r.channel) ?? (r.configured ? 'works' : 'absent') })));
    },
  };
}

// --- the parts ---

function partList() {
  const rows = {};
  const row = (key, label, kind) => {
    const state = tag(kind);
    const detail = h('dd', { class: 'detail' });
    rows[key] = (next, text = '') => {
      state.setState(next);
      setText(detail, text);
    };
    return h('div', null, h('dt', null, label), h('dd', null, state), detail);
  };
  const program = h('p', { class: 'quiet small-text' });
  const node = h('section', { class: 'panel' }, h('h2', null, 'Parts'),
    h('dl', { class: 'parts' }, row('store', 'Store', partStates), row('broker', 'Broker', partStates), row('progress', 'Progress', partStates), row('account', 'Account', accountStates)), program);
  return {
    node,
    update({ account, store, broker, progress, program: name, version }) {
      rows.store(store.status, store.detail);
      rows.broker(broker.status, broker.detail);
      rows.progress(progress.status, progress.detail);
      const orders = account.orders;
      rows.account(account.state, differences(account).join(' ') || (orders ? `${plural(orders.orders, 'order')}: ${number(orders.published)} published, ${number(orders.waiting.count)} waiting.` : 'Without the orders.'));
      setText(program, `${name} ${version}`);
    },
  };
}
