// The live state: one stream of the server's updates, merged, and shown at most once in an animation frame.
import { get } from './api.js';

export const live = {
  state: null, // the snapshot with all updates since
  points: [], // of the last 15 minutes, oldest first
  connection: 'closed', // connecting, live, paused, hidden, lost or closed
  since: 0, // when the connection was lost or paused, in the reader's time
};

const maxPoints = 180;
const patience = 2000; // a stream that ends and resumes within this time is not shown as lost
const silence = 30_000; // after this time without an update, ask whether the server still answers
const hiddenFor = 60_000; // a page that nobody sees gives its connection back after this time

let source = null;
let arrivedAt = 0; // of the latest event, by performance.now()
let stoppedAt = 0; // when the connection stopped being live
let lossTimer = 0;
let retryTimer = 0;
let hideTimer = 0;
let attempt = 0;
let lostLogin = () => {};

// --- rendering ---

const views = new Set();
let frame = 0;

// Calls the view with each change, and returns what ends that.
export function watch(view) {
  views.add(view);
  invalidate();
  return () => views.delete(view);
}

export function invalidate() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    for (const view of views) view();
  });
}

setInterval(() => live.connection === 'live' && invalidate(), 1000); // ages grow

// --- the server's clock ---

// The server's time now, in milliseconds. It stands still while nothing comes.
export function now() {
  if (!live.state) return Date.now();
  return Date.parse(live.state.at) + ((live.connection === 'live' ? performance.now() : stoppedAt) - arrivedAt);
}

export const age = (iso) => Math.max(0, (now() - Date.parse(iso)) / 1000);

// --- the connection ---

function change(connection) {
  clearTimeout(lossTimer);
  lossTimer = 0;
  if (live.connection === connection) return;
  if (live.connection === 'live') stoppedAt = performance.now();
  live.connection = connection;
  live.since = Date.now();
  invalidate();
}

// Connects. If the server asks for a login, it calls needLogin.
export function connect(needLogin = lostLogin) {
  lostLogin = needLogin;
  close();
  change('connecting');
  open();
}

function open() {
  clearTimeout(retryTimer);
  source?.close();
  source = new EventSource('/console/events');
  source.addEventListener('snapshot', (event) => arrived(event, (data) => {
    live.state = data;
    live.points = data.history.points;
  }));
  source.addEventListener('update', (event) => arrived(event, ({ points = [], ...fields }) => {
    Object.assign(live.state, fields);
    if (points.length > 0) live.points = [...live.points, ...points].slice(-maxPoints);
  }));
  source.onerror = failed;
}

function arrived(event, merge) {
  merge(JSON.parse(event.data));
  arrivedAt = performance.now();
  attempt = 0;
  change('live');
  invalidate();
}

// The browser connects again by itself unless the server has refused.
function failed() {
  lossTimer ||= setTimeout(() => change('lost'), patience);
  if (source.readyState !== EventSource.CLOSED) return;
  retryTimer = setTimeout(retry, Math.min(1000 * 2 ** attempt++, 15_000));
}

async function retry() {
  try {
    await get('/session');
  } catch (problem) {
    if (problem.status === 401) return lostLogin();
  }
  if (source) open();
}

export function close() {
  source?.close();
  source = null;
  clearTimeout(retryTimer);
  change('closed');
}

export function pause() {
  close();
  change('paused');
}

// --- connections that die without a word, and pages that nobody sees ---

setInterval(async () => {
  if (live.connection !== 'live' || performance.now() - arrivedAt < silence) return;
  try {
    await get('/session');
  } catch (problem) {
    if (problem.status === 0 && source) open();
  }
}, silence);

document.addEventListener('visibilitychange', () => {
  clearTimeout(hideTimer);
  if (document.hidden) hideTimer = setTimeout(() => source && (close(), change('hidden')), hiddenFor);
  else if (live.connection === 'hidden') connect();
});
