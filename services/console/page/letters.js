// Dead letters: their groups, the letters one by one, and the jobs that decide about them.
import { get, withQuery } from './api.js';
import { deadLetters } from './attention.js';
import { decideAll } from './decide.js';
import { h, setText, show } from './dom.js';
import { number, plural } from './format.js';
import { isActive, jobList, selectionText } from './jobs.js';
import { channelOf } from './labels.js';
import { letterFilter, selectionOf } from './letterfilter.js';
import { live, watch } from './live.js';
import { paged } from './pages.js';
import { address } from './router.js';
import { mayAct } from './session.js';
import { changing, table } from './table.js';
import { at } from './when.js';

const pace = 2000; // the groups are counted at most once in this time

export function lettersView(target) {
  const filter = letterFilter();
  const jobs = jobList(() => refresh());
  const groups = groupTable(() => filter.values);
  const list = paged(letterTable(), '/dead-letters');
  const title = h('h2');
  const back = h('p', { class: 'back', hidden: true }, h('a', null, 'All groups'));
  const whole = h('div', { class: 'actions' });
  const total = h('p', { class: 'verdict' });
  const fault = h('p', { class: 'fault', role: 'alert', hidden: true });
  const groupPanel = h('section', { class: 'panel' }, h('h2', null, 'By reason and channel'), fault, groups.node);
  const node = h('div', { class: 'page' }, h('div', { class: 'page-head' }, h('h1', null, 'Dead letters'), total), back, filter.node, jobs.node, groupPanel,
    h('section', { class: 'panel' }, h('div', { class: 'panel-head' }, title, whole), list.node));
  let count = -1; // of the live state when the groups were counted
  let countedAt = 0;
  let counting = null; // the latest request, while it runs

  // Counts the groups anew. An answer to an earlier filter is not shown.
  async function countGroups() {
    counting?.abort();
    const mine = new AbortController();
    counting = mine;
    countedAt = performance.now();
    count = deadLetters(live.state);
    try {
      const answer = await get(withQuery('/dead-letters/groups', filter.values), mine.signal);
      groups.update(answer.groups);
      setText(total, answer.total === 0 ? nothing(filter.values) : `${plural(answer.total, 'letter')} in ${answer.more ? 'more than ' : ''}${plural(answer.groups.length, 'group')}.`);
      total.dataset.tone = answer.total > 0 && filter.values.state === 'waiting' ? 'bad' : 'good';
      const offered = answer.total > 0 ? filter.values.state : '';
      if (whole.dataset.offered !== offered) { // otherwise the buttons stay, and keep the focus
        whole.dataset.offered = offered;
        whole.replaceChildren(...(offered ? buttons(filter.values, () => selectionOf(filter.values), 'all that match') : []));
      }
      show(fault, false);
    } catch (problem) {
      if (mine.signal.aborted) return;
      setText(fault, problem.message);
      show(fault, true);
    } finally {
      if (counting === mine) counting = null;
    }
  }

  function refresh() {
    countGroups();
    list.again();
  }

  function change({ query }) {
    filter.update(query);
    const { channel, group } = filter.values;
    show(groupPanel, !group);
    setText(title, group ? `${channel ?? 'All channels'}: ${group}` : 'One by one, the oldest first');
    show(back, Boolean(group));
    back.firstChild.href = address('/dead-letters', { ...query, group: '', channel: '' });
    countGroups();
    list.show({ ...filter.values, limit: 25 });
  }

  change(target);
  const unwatch = watch(() => {
    jobs.update(live.state?.jobs ?? []);
    const hasChanged = count !== deadLetters(live.state) || live.state?.jobs.some((job) => !job.dry_run && isActive(job));
    filter.updateChannels();
    if (!counting && live.connection === 'live' && hasChanged && performance.now() - countedAt > pace) countGroups();
  });
  return {
    node,
    change,
    leave() {
      unwatch();
      counting?.abort();
      list.leave();
    },
  };
}

function nothing(values) {
  if (Object.keys(selectionOf(values)).length > 0) return 'Nothing matches.';
  return { waiting: 'Nothing waits.', replayed: 'Nothing was replayed.', discarded: 'Nothing is discarded.' }[values.state];
}

const actionsOfState = { waiting: [['replay', 'Replay'], ['discard', 'Discard']], replayed: [], discarded: [['restore', 'Restore']] };

function buttons(values, selection, subject) {
  if (!mayAct()) return [];
  return actionsOfState[values.state].map(([action, verb]) => h('button', {
    class: 'small', type: 'button', 'aria-label': `${verb} ${subject}`, click: () => decideAll(action, selection(), selectionText(selection())),
  }, `${verb} …`));
}

// Letters without a reason, such as those of a user who was forgotten, can't be selected by their group: without a group,
// the selection is all letters of the channel.
function groupTable(values) {
  const narrowed = (g) => ({ ...values(), channel: g.channel, group: g.reason });
  const moment = (pick) => () => {
    const node = h('span');
    return changing(node, (g) => node.firstChild?.dateTime !== pick(g) && node.replaceChildren(at(pick(g))));
  };
  return table({
    caption: 'Dead letters by reason and channel, the largest group first',
    empty: 'There is no such letter.',
    key: (g) => JSON.stringify([g.channel, g.reason, values()]),
    columns: [
      { title: 'Reason', wide: true, make: (g) => (g.reason ? h('a', { class: 'reason', href: address('/dead-letters', narrowed(g)) }, g.reason) : h('span', { class: 'quiet' }, 'no reason')) },
      { title: 'Channel', half: true, text: (g) => g.channel },
      { title: 'Letters', numeric: true, text: (g) => number(g.count) },
      { title: 'Oldest', make: moment((g) => g.oldest) },
      { title: 'Newest', make: moment((g) => g.newest) },
      ...(mayAct() ? [{ wide: true, end: true, make: (g) => g.reason && h('span', { class: 'actions' }, buttons(values(), () => selectionOf(narrowed(g)), `${g.channel}: ${g.reason}`)) }] : []),
    ],
  });
}

function letterTable() {
  return table({
    caption: 'Dead letters, the oldest first',
    empty: 'There is no such letter.',
    key: (l) => `${l.id} ${l.state} ${l.last_failure}`,
    columns: [
      { title: 'Letter', wide: true, make: (l) => h('a', { class: 'id', href: `#/dead-letters/${encodeURIComponent(l.id)}` }, l.id) },
      { title: 'Channel', half: true, text: channelOf },
      { title: 'Reason', wide: true, make: (l) => h('span', { class: 'reason' }, l.reason) },
      { title: 'User', text: (l) => l.user_id ?? '–' },
      { title: 'Attempts', numeric: true, text: (l) => number(l.attempts) },
      { title: 'Failed', make: (l) => at(l.last_failure) },
    ],
  });
}
