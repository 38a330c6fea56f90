// The jobs that replay, discard or restore dead letters: their progress, and how to stop them.
import { post } from './api.js';
import { announce } from './announce.js';
import { h, keyed, setAttribute, setText, show } from './dom.js';
import { duration, number, plural } from './format.js';
import { jobStates, tag } from './labels.js';
import { invalidate, live } from './live.js';
import { mayAct } from './session.js';
import { at } from './when.js';

const verbs = { replay: 'Replay', discard: 'Discard', restore: 'Restore' };
const shownEnded = 3;

export const isActive = (job) => job.state === 'running' || job.state === 'paused';

// Returns the list. ended is called after a job has ended.
export function jobList(ended) {
  const list = h('ul', { class: 'jobs' });
  const node = h('section', { class: 'panel', hidden: true }, h('h2', null, 'Jobs'), list);
  let active = new Set();
  return {
    node,
    update(jobs) {
      const real = jobs.filter((job) => !job.dry_run);
      const shown = [...real.filter(isActive), ...real.filter((job) => !isActive(job)).slice(0, shownEnded)];
      show(node, shown.length > 0);
      keyed(list, shown, (job) => job.id, create);
      for (const job of real.filter((j) => active.has(j.id) && !isActive(j))) {
        announce(`${verbs[job.action]}: ${job.state}. ${outcome(job)}`);
        ended();
      }
      active = new Set(real.filter(isActive).map((job) => job.id));
    },
  };
}

function outcome(job) {
  const parts = [`${number(job.done)} of ${number(job.total)} done`];
  if (job.skipped > 0) parts.push(`${number(job.skipped)} skipped`);
  if (job.failed > 0) parts.push(`${number(job.failed)} failed`);
  return `${parts.join(', ')}.`;
}

// The selection of a job in words.
export function selectionText({ ids, channel, group, reason, type, user_id: user, order_id: order, since, until } = {}) {
  if (ids) return plural(ids.length ?? ids, 'chosen letter');
  const parts = [channel && `channel ${channel}`, group, reason && `reason “${reason}”`, type && `type ${type}`, user && `user ${user}`, order && `order ${order}`,
    since && `since ${since}`, until && `until ${until}`].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : 'all';
}

function create(job) {
  const state = tag(jobStates);
  const bar = h('progress', { 'aria-label': `Progress of the job ${job.id}` });
  const numbers = h('span', { class: 'numbers' });
  const fault = h('p', { class: 'fault', hidden: true });
  const control = (action, label) => h('button', { class: 'small', type: 'button', 'aria-label': `${label}: job ${job.id}`, click: async () => {
    try {
      const next = await post(`/dead-letters/jobs/${encodeURIComponent(job.id)}/${action}`);
      if (live.connection === 'live') return; // an update has what became of it, maybe already
      live.state.jobs = live.state.jobs.map((j) => (j.id === next.id ? next : j));
      invalidate();
    } catch (problem) {
      announce(problem.message);
    }
  } }, label);
  const [pause, resume, stop] = [control('pause', 'Pause'), control('resume', 'Go on'), control('stop', 'Stop')];
  return {
    node: h('li', null,
      h('div', { class: 'job-head' }, h('b', null, `${verbs[job.action]} ${plural(job.total, 'dead letter')}`), state, h('span', { class: 'actions' }, pause, resume, stop)),
      h('p', { class: 'selection quiet' }, selectionText(job.select), job.by ? ` · by ${job.by}` : '', ' · ', at(job.started_at)), bar, numbers, fault),
    update(next) {
      state.setState(next.stalled && isActive(next) ? 'stalled' : next.state);
      setAttribute(bar, 'max', Math.max(next.total, 1));
      const past = next.done + next.failed + next.skipped;
      setAttribute(bar, 'value', past);
      const left = isActive(next) && next.total > past ? ` About ${duration((next.total - past) / next.rate)} left at ${number(next.rate)} a second.` : '';
      setText(numbers, outcome(next) + left);
      const text = next.stalled || next.first_error;
      show(fault, Boolean(text));
      setText(fault, next.stalled ? `It waits: ${next.stalled}` : `First error: ${next.first_error}`);
      show(pause, mayAct() && next.state === 'running');
      show(resume, mayAct() && next.state === 'paused');
      show(stop, mayAct() && isActive(next));
    },
  };
}
