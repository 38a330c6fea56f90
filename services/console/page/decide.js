// Replays, discards and restores dead letters. The size of the deed decides how it is confirmed: one letter by a click,
// several in a dialog after a dry run, over 100 by typing their number.
import { post } from './api.js';
import { announce } from './announce.js';
import { command, commands, curl } from './commands.js';
import { h, setText, show } from './dom.js';
import { duration, number, plural } from './format.js';
import { live, invalidate } from './live.js';
import { mayAct } from './session.js';

const typedFrom = 101;
const defaultRate = 50;
const maxRate = 1000;

const words = {
  replay: { verb: 'Replay', doing: 'Replaying', done: 'is replayed', effect: 'They are sent to their channels again, from the first attempt on. Receivers know a repeat by its id.' },
  discard: { verb: 'Discard', doing: 'Discarding', done: 'is discarded', effect: 'They are given up. They can be restored for 30 days.' },
  restore: { verb: 'Restore', doing: 'Restoring', done: 'waits again', effect: 'They wait for a decision again.' },
};

// What can be done to a letter in a state.
const actionsOf = (state) => ({ waiting: ['replay', 'discard'], discarded: ['restore'] }[state] ?? []);

// Returns buttons that decide about one letter at once, and call changed after it.
export function decideButtons(letter, changed) {
  if (!mayAct()) return [];
  return actionsOf(letter.state).map((action) => {
    const decide = async () => {
      button.disabled = true;
      try {
        const { failed } = await post(`/dead-letters/${action}`, { ids: [letter.id] });
        announce(failed.length > 0 ? failed[0].detail : `The dead letter ${words[action].done}.`);
        changed();
      } catch (problem) {
        announce(problem.message);
      } finally {
        button.disabled = false;
      }
    };
    const button = h('button', { class: 'small', type: 'button', click: decide, 'aria-label': `${words[action].verb} the dead letter ${letter.id}` }, words[action].verb);
    return button;
  });
}

// The same for one letter, to copy.
export const decideCommands = (letter) => commands('As a command', () => [
  { label: 'This letter', text: curl('GET', `/dead-letters/${encodeURIComponent(letter.id)}`) },
  ...actionsOf(letter.state).flatMap((action) => [
    { label: `${words[action].verb}: request`, text: curl('POST', `/dead-letters/${action}`, { ids: [letter.id] }) },
    { label: `${words[action].verb}: command`, text: command('dead-letters', action, letter.id) },
  ])]);

// The flags of the command that select the same letters.
const flags = (select) => Object.entries(select).map(([name, value]) => (value === true ? `--${name}` : `--${name === 'user_id' ? 'user' : name}=${value}`));

// Asks for a decision about all letters of the selection, described in words, and starts a job.
export function decideAll(action, selection, description) {
  const { verb, doing, effect } = words[action];
  const opener = document.activeElement;
  let total = null;
  const select = Object.keys(selection).length > 0 ? selection : { all: true };
  const result = h('p', { class: 'dry-run', role: 'status' }, 'The dry run counts what matches.');
  const fault = h('p', { class: 'fault', role: 'alert', hidden: true });
  const rate = h('input', { id: 'decide-rate', type: 'number', min: 1, max: maxRate, value: defaultRate, required: true, inputmode: 'numeric', input: update });
  const takes = h('span', { class: 'quiet' });
  const typed = h('input', { id: 'decide-number', type: 'text', inputmode: 'numeric', autocomplete: 'off', input: update });
  const why = h('input', { id: 'decide-why', maxlength: 256, autocomplete: 'off' });
  const typedLabel = h('label', { for: 'decide-number' });
  const typedField = h('div', { class: 'field', hidden: true }, typedLabel, typed);
  const button = h('button', { class: action === 'discard' ? 'danger' : 'primary', type: 'submit', disabled: true }, verb);
  const body = (more) => ({ action, ...select, ...more });
  const deed = () => ({ rate: Number(rate.value) || defaultRate, expect: total ?? undefined, why: why.value.trim() || undefined });
  const dialog = h('dialog', { 'aria-labelledby': 'decide-title', close },
    h('form', { method: 'dialog', submit },
      h('h2', { id: 'decide-title' }, `${verb} dead letters`), h('p', { class: 'selection' }, description), result, h('p', { class: 'quiet' }, effect),
      h('div', { class: 'field' }, h('label', { for: 'decide-rate' }, 'Letters a second'), h('span', { class: 'beside' }, rate, takes)),
      h('div', { class: 'field' }, h('label', { for: 'decide-why' }, 'Why, for the others (optional)'), why),
      typedField, fault,
      h('div', { class: 'dialog-end' }, h('button', { type: 'button', click: () => dialog.close() }, 'Cancel'), button)),
    commands('As a command', () => [
      { label: 'Dry run', text: curl('POST', '/dead-letters/jobs', body({ dry_run: true })) },
      { label: `${verb}: request`, text: curl('POST', '/dead-letters/jobs', body(deed())) },
      { label: `${verb}: command`, text: command('dead-letters', action, ...flags(select)) },
    ]));

  async function dryRun() {
    try {
      total = (await post('/dead-letters/jobs', body({ dry_run: true }))).total;
      setText(result, total === 0 ? 'Dry run: nothing matches any more.' : `Dry run: ${plural(total, 'dead letter matches', 'dead letters match')}. Nothing was changed.`);
    } catch (problem) {
      fail(problem);
    }
    update();
  }

  function update() {
    const isLarge = total >= typedFrom;
    setText(button, total > 0 ? `${verb} ${number(total)}` : verb);
    setText(typedLabel, `Type ${total} to confirm`);
    show(typedField, isLarge);
    setText(takes, total > 0 && rate.validity.valid ? `takes about ${duration(Math.max(1, total / Number(rate.value)))}` : '');
    button.disabled = !total || !rate.validity.valid || (isLarge && typed.value.replace(/[\s,.]/g, '') !== String(total));
  }

  function fail(problem) {
    setText(fault, problem.message);
    show(fault, true);
  }

  async function submit(event) {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    show(fault, false);
    try {
      const job = await post('/dead-letters/jobs', body(deed()));
      if (live.state && !live.state.jobs.some((j) => j.id === job.id)) live.state.jobs = [job, ...live.state.jobs]; // updates know more
      invalidate();
      announce(`${doing} ${plural(job.total, 'dead letter')}.`);
      dialog.close();
    } catch (problem) {
      fail(problem);
      if (problem.code === 'changed') await dryRun();
      update();
    }
  }

  function close() {
    dialog.remove();
    if (opener?.isConnected) opener.focus();
  }

  document.body.append(dialog);
  dialog.showModal();
  dryRun();
}
