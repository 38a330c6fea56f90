// Pauses and resumes a channel, or one of its receivers.
import { post } from './api.js';
import { announce } from './announce.js';
import { h, setText, show } from './dom.js';
import { live, invalidate } from './live.js';
import { mayAct } from './session.js';

const path = (channel, action) => `/channels/${encodeURIComponent(channel)}/${action}`;

// Puts the pause that the server answered into the live state, so that it shows before the next update.
function merge(pause) {
  const channel = live.state?.channels.find((c) => c.name === pause.channel);
  if (channel) channel.pauses = [...channel.pauses.filter((p) => p.receiver !== pause.receiver), pause];
  invalidate();
}

export async function resume(channel, receiver) {
  try {
    merge(await post(path(channel, 'resume'), receiver ? { receiver } : {}));
    announce(`${receiver ?? channel} is resumed. What was held is sent.`);
  } catch (problem) {
    announce(problem.message);
  }
}

// Returns a button that pauses the channel, or resumes it if it is paused.
export function pauseButton(channel) {
  if (!mayAct()) return null;
  let whole;
  const button = h('button', { class: 'small', type: 'button', click: () => (whole ? resume(channel.name) : askAndPause(channel.name)) });
  const update = (next) => {
    whole = next.pauses.find((p) => !p.receiver && p.kind !== 'draining');
    setText(button, whole ? 'Resume' : 'Pause …');
    button.setAttribute('aria-label', `${whole ? 'Resume' : 'Pause'} ${next.name}`);
    show(button, next.configured || Boolean(whole));
  };
  update(channel);
  return Object.assign(h('span', { class: 'actions' }, button), { update });
}

// Asks for a reason, and pauses.
export function askAndPause(channel) {
  const opener = document.activeElement;
  const reason = h('input', { id: 'pause-reason', maxlength: 256, autocomplete: 'off' });
  const fault = h('p', { class: 'fault', role: 'alert', hidden: true });
  const button = h('button', { class: 'primary', type: 'submit' }, `Pause ${channel}`);
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      merge(await post(path(channel, 'pause'), reason.value.trim() ? { reason: reason.value.trim() } : {}));
      announce(`${channel} is paused.`);
      dialog.close();
    } catch (problem) {
      setText(fault, problem.message);
      show(fault, true);
      button.disabled = false;
    }
  };
  const close = () => {
    dialog.remove();
    if (opener?.isConnected) opener.focus();
  };
  const dialog = h('dialog', { 'aria-labelledby': 'pause-title', close },
    h('form', { method: 'dialog', submit }, h('h2', { id: 'pause-title' }, `Pause ${channel}`),
      h('p', { class: 'quiet' }, 'Its notifications are held until somebody resumes it. Nothing is lost, and no other channel waits.'),
      h('div', { class: 'field' }, h('label', { for: 'pause-reason' }, 'Why, for the others (optional)'), reason), fault,
      h('div', { class: 'dialog-end' }, h('button', { type: 'button', click: () => dialog.close() }, 'Cancel'), button)));
  document.body.append(dialog);
  dialog.showModal();
}
