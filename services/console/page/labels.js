// The words, icons and tones of every state that the page shows. Tones: good, wait, bad, info, idle.
import { h, setText } from './dom.js';
import { changeIcon, icon } from './icons.js';

export const notificationStates = {
  sent: ['sent', 'check', 'good'],
  retrying: ['retrying', 'again', 'wait'],
  held: ['held', 'pause', 'wait'],
  dead: ['dead', 'cross', 'bad'],
  skipped: ['skipped', 'dash', 'idle'],
};

// Where an event is that has no recorded notification.
export const places = {
  waiting: ['waits to be published', 'clock', 'wait'],
  published: ['published', 'check', 'good'],
  'not known': ['not known here', 'question', 'idle'],
  queued: ['in the queue', 'clock', 'idle'],
  'in hand': ['being sent', 'flow', 'info'],
  'set aside': ['dead letter', 'cross', 'bad'],
  earlier: ['before this recipient', 'dash', 'idle'],
  missing: ['missing', 'warning', 'bad'],
};

export const outcomes = {
  accepted: ['accepted', 'check', 'good'],
  refused: ['refused for now', 'again', 'wait'],
  rejected: ['rejected', 'cross', 'bad'],
  unreachable: ['out of reach', 'bolt', 'wait'],
};

export const letterStates = {
  waiting: ['waiting', 'cross', 'bad'],
  replayed: ['replayed', 'again', 'good'],
  discarded: ['discarded', 'dash', 'idle'],
};

export const pauseKinds = {
  works: ['works', 'check', 'good'],
  paused: ['paused', 'pause', 'wait'],
  broken: ['breaker open', 'bolt', 'bad'],
  off: ['switched off', 'cross', 'bad'],
  draining: ['sends what was held', 'flow', 'info'],
  absent: ['not configured', 'dash', 'idle'],
  partly: ['partly held', 'warning', 'wait'],
};

export const accountStates = {
  even: ['even', 'check', 'good'],
  moving: ['moving', 'flow', 'info'],
  uneven: ['uneven', 'warning', 'bad'],
  unknown: ['unknown', 'question', 'wait'],
};

export const partStates = {
  up: ['up', 'check', 'good'],
  down: ['down', 'cross', 'bad'],
  unknown: ['unknown', 'question', 'wait'],
  moving: ['moving', 'check', 'good'],
  stalled: ['stalled', 'warning', 'bad'],
};

export const jobStates = {
  running: ['running', 'flow', 'info'],
  paused: ['paused', 'pause', 'wait'],
  stopped: ['stopped', 'dash', 'idle'],
  done: ['done', 'check', 'good'],
  failed: ['failed', 'cross', 'bad'],
  stalled: ['waits', 'clock', 'wait'],
};

export const actionOutcomes = {
  done: ['done', 'check', 'good'],
  failed: ['failed', 'cross', 'bad'],
  unknown: ['unknown', 'question', 'wait'],
};

// Returns a tag for states of the kind. Its setState shows another state, or nothing.
export function tag(kind, state) {
  const [picture, text] = [icon('dash'), document.createTextNode('')];
  const node = h('span', { class: 'tag' }, picture, text);
  const setState = (next) => {
    if (node.dataset.state === (next ?? '')) return;
    node.dataset.state = next ?? '';
    const [word, name, tone] = kind[next] ?? [next ?? '', 'question', 'idle'];
    node.hidden = !next;
    node.dataset.tone = tone;
    changeIcon(picture, name);
    setText(text, word);
  };
  setState(state);
  return Object.assign(node, { setState });
}

// channelOf returns the name of a dead letter's channel. The main queue, that of the channel log, has no subscription.
export const channelOf = (letter) => letter.subscription || 'log';

// The state of a channel as a whole, of pauseKinds.
export function channelState(channel) {
  if (!channel.configured) return 'absent';
  const whole = channel.pauses.find((pause) => !pause.receiver);
  if (whole) return whole.kind;
  return channel.pauses.some((pause) => pause.kind !== 'draining') ? 'partly' : 'works';
}
