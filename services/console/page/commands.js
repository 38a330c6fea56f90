// The same as a request and as a command, to copy.
import { announce } from './announce.js';
import { h } from './dom.js';
import { live } from './live.js';
import { session } from './session.js';

// Quotes a word for a POSIX shell.
export const quote = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

export function curl(method, path, body) {
  const words = ['curl'];
  if (method !== 'GET') words.push('-X', method);
  words.push(quote(location.origin + path));
  if (session.by !== 'open') words.push('-H', '"Authorization: Bearer $ORDERFLOW_TOKEN"');
  if (body) words.push('-H', quote('Content-Type: application/json'), '-d', quote(JSON.stringify(body)));
  return words.join(' ');
}

// A command of the running program.
export const command = (...words) => [live.state?.program ?? 'orderflow', ...words.map(quote)].join(' ');

// Returns a block that shows the lines when it is opened. Then lines returns them, each {label, text}.
export function commands(title, lines) {
  const content = h('div', { class: 'commands' });
  const toggle = (event) => {
    if (event.target.open) content.replaceChildren(...lines().map(line));
  };
  return h('details', { class: 'as-command', toggle }, h('summary', null, title), content);
}

function line({ label, text }) {
  const code = h('code', null, text);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // only pages from this machine or by https may write to the clipboard
      getSelection().selectAllChildren(code);
      document.execCommand('copy');
    }
    announce('Copied.');
  };
  return h('div', { class: 'command' }, h('span', { class: 'quiet' }, label), h('pre', { tabindex: 0 }, code),
    h('button', { class: 'small', type: 'button', click: copy, 'aria-label': `Copy: ${label}` }, 'Copy'));
}
