// The header: the connection, the count of dead letters, who uses the page.
import { announce } from './announce.js';
import { deadLetters, findings } from './attention.js';
import { setAttribute, setText, show } from './dom.js';
import { number, time } from './format.js';
import { connect, live, pause, watch } from './live.js';
import { session, signOut } from './session.js';

const part = (id) => document.getElementById(id);

const connections = { live: 'Live', connecting: 'Connecting', hidden: 'Connecting', paused: 'Paused', lost: 'Lost', closed: '' };

let firstVersion = '';
let shown = '';

function update() {
  const { connection, state, since } = live;
  setAttribute(part('connection'), 'data-state', connection);
  setText(part('connection-text'), connections[connection]);
  setText(part('pause').firstChild, connection === 'paused' ? 'Go on' : 'Pause');
  setText(part('pause').lastChild, connection === 'paused' ? ' with live updates' : ' live updates');
  const waiting = deadLetters(state);
  show(part('dead-count'), waiting > 0);
  setText(part('dead-count'), waiting >= 10_000 ? `${Math.floor(waiting / 1000)}k` : number(waiting));
  setAttribute(part('dead-count'), 'title', `${number(waiting)} wait`);
  firstVersion ||= state?.version ?? '';
  banner(connection, since, state);
  if (state) tell(findings(state));
  if (shown === 'lost' && connection === 'live') announce('The connection is back.');
  if (shown !== 'lost' && connection === 'lost') announce('The connection is lost.', false);
  shown = connection;
}

const newsPause = 10_000; // between findings that are read aloud

let known = null; // the keys of the findings that are shown
let toldAt = -newsPause;

// Tells screen readers of a new finding, on every view.
function tell(all) {
  const fresh = known && all.find((f) => !known.has(f.key));
  if (fresh && performance.now() - toldAt < newsPause) return; // later
  known = new Set(all.map((f) => f.key));
  if (!fresh) return;
  toldAt = performance.now();
  announce(fresh.text, false);
}

function banner(connection, since, state) {
  const [text, button] =
    connection === 'lost' ? [`No connection since ${time(since)}. The figures are from then. The page tries to connect again.`, 'Try now']
      : connection === 'paused' ? [`Live updates have been paused since ${time(since)}. The figures are from then.`, '']
        : state && state.version !== firstVersion ? [`orderflow is now version ${state.version}. This page is of ${firstVersion}.`, 'Load it again']
          : ['', ''];
  show(part('banner'), text !== '');
  setAttribute(part('banner'), 'data-state', connection);
  setText(part('banner-text'), text);
  setText(part('banner-button'), button);
  show(part('banner-button'), button !== '');
}

export function showWho() {
  setText(part('who'), session.name ? `${session.name} (${session.role})` : '');
  show(part('sign-out'), session.by === 'session');
}

// Starts the header's controls. signedOut is called after the caller has signed out.
export function startHeader(signedOut) {
  watch(update);
  part('pause').addEventListener('click', () => {
    if (live.connection === 'paused') connect();
    else pause();
    announce(live.connection === 'paused' ? 'Live updates are paused.' : 'Live updates go on.', false);
  });
  part('banner-button').addEventListener('click', () => {
    if (live.connection === 'live') location.reload();
    else connect();
  });
  part('sign-out').addEventListener('click', async () => {
    try {
      await signOut();
      signedOut();
    } catch (problem) {
      announce(problem.message);
    }
  });
  part('skip').addEventListener('click', (event) => { // its hash would be a route
    event.preventDefault();
    part('main').focus();
  });
}
