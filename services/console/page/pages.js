// Lists that come in pages.
import { get, withQuery } from './api.js';
import { h, setText, show } from './dom.js';

// Returns a list that shows one page at a time in a table, with buttons for the others. read turns an answer into items.
export function paged(grid, path, read = (answer) => answer.data) {
  let cursors = ['']; // of the pages up to the one that is shown
  let parameters = {};
  let running = null;
  const fault = h('p', { class: 'fault', role: 'alert', hidden: true });
  const before = h('button', { class: 'small', type: 'button', click: () => { cursors.pop(); load(); } }, 'Previous page');
  const after = h('button', { class: 'small', type: 'button', click: () => { cursors.push(after.dataset.cursor); load(); } }, 'Next page');
  const where = h('span', { class: 'quiet' });
  const bar = h('div', { class: 'pages', hidden: true }, before, after, where);
  const node = h('div', { 'aria-busy': 'false' }, fault, grid.node, bar);

  async function load() {
    running?.abort();
    const mine = new AbortController();
    running = mine;
    node.setAttribute('aria-busy', 'true');
    try {
      const answer = await get(withQuery(path, { ...parameters, cursor: cursors.at(-1) }), mine.signal);
      grid.update(read(answer));
      show(fault, false);
      after.dataset.cursor = answer.next_cursor ?? '';
      after.disabled = !answer.next_cursor;
      before.disabled = cursors.length === 1;
      show(bar, cursors.length > 1 || Boolean(answer.next_cursor));
      setText(where, `Page ${cursors.length}`);
    } catch (problem) {
      if (mine.signal.aborted) return;
      setText(fault, problem.message);
      show(fault, true);
    } finally {
      if (running === mine) node.setAttribute('aria-busy', 'false');
    }
  }

  return {
    node,
    show(next) {
      parameters = next;
      cursors = [''];
      return load();
    },
    again: load,
    leave: () => running?.abort(),
  };
}
