// Starts the page: who uses it, the live connection, the views.
import { actionsView } from './actions.js';
import { announce } from './announce.js';
import { onUnauthorized } from './api.js';
import { channelView } from './channel.js';
import { channelsView } from './channels.js';
import { h, show } from './dom.js';
import { letterView } from './letter.js';
import { lettersView } from './letters.js';
import * as live from './live.js';
import { loginForm } from './login.js';
import { orderView } from './order.js';
import { ordersView } from './orders.js';
import { overviewView } from './overview.js';
import { route, start, stop } from './router.js';
import { readSession } from './session.js';
import { showWho, startHeader } from './header.js';

route('/', 'overview', overviewView);
route('/orders', 'orders', ordersView);
route('/orders/:id', 'orders', orderView);
route('/dead-letters', 'dead-letters', lettersView);
route('/dead-letters/:id', 'dead-letters', letterView);
route('/channels', 'channels', channelsView);
route('/channels/:id', 'channels', channelView);
route('/actions', 'actions', actionsView);

const main = document.getElementById('main');
const header = document.getElementById('top');

async function begin(afterLogin) {
  try {
    if (!(await readSession())) return askForLogin();
  } catch (problem) {
    main.replaceChildren(h('div', { class: 'page' }, h('h1', null, 'orderflow does not answer'),
      h('p', null, problem.message), h('button', { type: 'button', click: () => begin(true) }, 'Try again')));
    return undefined;
  }
  show(header, true);
  showWho();
  live.connect(askForLogin);
  return start(afterLogin);
}

function askForLogin() {
  if (header.hidden && document.querySelector('.login')) return;
  stop();
  live.close();
  show(header, false);
  const form = loginForm(() => {
    announce('Signed in.', false);
    begin(true);
  });
  main.replaceChildren(form.node);
  form.focus();
}

onUnauthorized(askForLogin);
startHeader(askForLogin);
begin(false);
